/* Counts and encodes outcomes as server/ingest/decode.py, count.py and rows.py do, and reads spans as
 * server/receivers/otlp/spans.py and told.py do, byte for byte, several times as fast.
 *
 * Each function returns None for what it does not know how to do as they do (another type, a number out of range, a
 * column that is new): the caller then asks the Python code, which also raises the errors. So this file decides nothing,
 * and it may be missing.
 *
 * What keeps it safe: fields of an outcome are borrowed only where no Python code can run; whatever is needed after a
 * call that may run some is owned (INCREF) or copied; every index and length is checked before it is used.
 */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <datetime.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <structmember.h>

#define VERSION 6 /* of what these functions take and give: server/ingest/native.py */

#define EPOCH_2000 946684800000000LL
#define SECOND 1000000LL
#define ITEMS_MAX (1 << 28)

/* What a step comes to. ODD: ask the Python code; an exception may be set, which is dropped then. */
enum { OK = 0, ODD = 1, RAISED = -1 };

enum { SERVICE, ROUTE, METHOD, STATUS, DURATION, TIMESTAMP, SENT_VERSION, REQUEST_ID, BAD, WEIGHT, WITHIN, KNOWN };
static const char *const FIELD_NAMES[KNOWN] = {"service",   "route",   "method",     "status", "duration_ms",
                                               "timestamp", "version", "request_id", "error", "weight", "within_ms"};
#define DETAILS_MAX 16

static struct {
    PyTypeObject *outcome;
    PyTypeObject *series;
    Py_ssize_t at[KNOWN]; /* where a field of an outcome is in it */
    Py_ssize_t details;   /* how many fields its detail has */
    Py_ssize_t detail_at[DETAILS_MAX];
    PyObject *detail_name[DETAILS_MAX];
    Py_ssize_t series_id, series_name;
    PyObject *microseconds, *request_ids, *counted, *unnumbered, *array, *million, *span_names;
    double per_log; /* of server/live/sketch.py */
    uint64_t secret;
} known;

/* ---- memory ---- */

typedef struct {
    char *data;
    size_t length, room;
} Bytes;

/* Room for `more` bytes at the end. */
static int bytes_ensure(Bytes *bytes, size_t more) {
    if (more > (size_t)PY_SSIZE_T_MAX - bytes->length) {
        PyErr_NoMemory();
        return RAISED;
    }
    size_t needed = bytes->length + more;
    if (needed <= bytes->room) return OK;
    size_t room = bytes->room < 4096 ? 4096 : bytes->room;
    while (room < needed) room = room > (size_t)PY_SSIZE_T_MAX / 2 ? needed : room * 2;
    char *data = PyMem_Realloc(bytes->data, room);
    if (data == NULL) {
        PyErr_NoMemory();
        return RAISED;
    }
    bytes->data = data;
    bytes->room = room;
    return OK;
}

/* An array of `count` zeroed things, at least one so that it is never NULL but for an error. */
static void *zeroed(size_t count, size_t size) {
    void *found = PyMem_Calloc(count ? count : 1, size);
    if (found == NULL) PyErr_NoMemory();
    return found;
}

/* ---- an index of entries by their hash ---- */

typedef struct {
    uint32_t *slots; /* number of an entry + 1; 0: free */
    uint64_t *hashes;
    size_t mask, used, room;
} Index;

static int index_make(Index *index) {
    index->slots = zeroed(64, sizeof *index->slots);
    index->hashes = zeroed(32, sizeof *index->hashes);
    index->mask = 63;
    index->room = 32;
    index->used = 0;
    return index->slots && index->hashes ? OK : RAISED;
}

static void index_free(Index *index) {
    PyMem_Free(index->slots);
    PyMem_Free(index->hashes);
}

/* Add the next entry at a free slot; its number is index->used - 1 afterwards. */
static int index_add(Index *index, size_t slot, uint64_t hash) {
    index->hashes[index->used++] = hash;
    index->slots[slot] = (uint32_t)index->used;
    if (index->used < index->room) return OK;
    size_t size = (index->mask + 1) * 2;
    uint32_t *slots = zeroed(size, sizeof *slots);
    uint64_t *hashes = PyMem_Realloc(index->hashes, index->room * 2 * sizeof *hashes);
    if (hashes != NULL) index->hashes = hashes;
    if (slots == NULL || hashes == NULL) {
        PyMem_Free(slots);
        PyErr_NoMemory();
        return RAISED;
    }
    index->room *= 2;
    index->mask = size - 1;
    for (size_t entry = 0; entry < index->used; entry++) {
        size_t place = index->hashes[entry] & index->mask;
        while (slots[place]) place = (place + 1) & index->mask;
        slots[place] = (uint32_t)entry + 1;
    }
    PyMem_Free(index->slots);
    index->slots = slots;
    return OK;
}

static inline uint64_t mixed(uint64_t hash, uint64_t more) {
    hash = (hash ^ more) * 0x9E3779B97F4A7C15ULL;
    return hash ^ (hash >> 32);
}

/* ---- values of Python ---- */

static inline PyObject *field(PyObject *object, Py_ssize_t at) { return *(PyObject **)((char *)object + at); }

static inline int is_text(PyObject *object) {
    return object != NULL && PyUnicode_CheckExact(object) && PyUnicode_IS_READY(object);
}

/* Texts as is_text finds them, or both None. */
static inline int same_text(PyObject *one, PyObject *other) {
    if (one == other) return 1;
    if (one == Py_None || other == Py_None) return 0;
    Py_ssize_t length = PyUnicode_GET_LENGTH(one);
    return length == PyUnicode_GET_LENGTH(other) && PyUnicode_KIND(one) == PyUnicode_KIND(other) &&
           memcmp(PyUnicode_DATA(one), PyUnicode_DATA(other), (size_t)length * PyUnicode_KIND(one)) == 0;
}

/* Of a text or None: runs no Python code, and does not fail. */
static inline uint64_t text_hash(PyObject *text) {
    return text == Py_None ? 0x51ED270B : (uint64_t)PyObject_Hash(text);
}

/* An exact int within 64 bits. */
static inline int whole(PyObject *object, int64_t *into) {
    if (object == NULL || !PyLong_CheckExact(object)) return ODD;
    int overflow;
    *into = PyLong_AsLongLongAndOverflow(object, &overflow);
    return overflow ? ODD : OK;
}

static inline int64_t second_of(int64_t at) {
    int64_t second = at / SECOND;
    return second - (at % SECOND < 0);
}

/* ---- columns ---- */

enum {
    C_AT, C_SERIES_ID, C_DURATION_US, C_BAD, C_REQUEST_ID, C_DETAIL,
    C_WRITER_ID, C_SEQ, C_SECOND, C_N, C_FAST, C_SKETCH, COLUMNS
};
static const char *const COLUMN_NAMES[COLUMNS] = {"at", "series_id", "duration_us", "bad",    "request_id", "detail",
                                                  "writer_id", "seq", "second",     "n",      "fast",       "sketch"};
#define COLUMNS_MAX 16

typedef struct {
    int16_t count;
    struct {
        int what;
        int width; /* bytes; 0: it varies */
    } column[COLUMNS_MAX];
} Layout;

/* The columns of a COPY: a tuple of (name, width as struct writes it or ""). */
static int layout_of(PyObject *given, Layout *layout, int first, int last) {
    if (!PyTuple_CheckExact(given) || PyTuple_GET_SIZE(given) > COLUMNS_MAX) return ODD;
    layout->count = (int16_t)PyTuple_GET_SIZE(given);
    for (int i = 0; i < layout->count; i++) {
        PyObject *pair = PyTuple_GET_ITEM(given, i);
        if (!PyTuple_CheckExact(pair) || PyTuple_GET_SIZE(pair) != 2) return ODD;
        PyObject *name = PyTuple_GET_ITEM(pair, 0), *width = PyTuple_GET_ITEM(pair, 1);
        if (!is_text(name) || !is_text(width)) return ODD;
        int what = first;
        while (what < last && PyUnicode_CompareWithASCIIString(name, COLUMN_NAMES[what]) != 0) what++;
        Py_UCS4 letter = PyUnicode_GET_LENGTH(width) == 1 ? PyUnicode_READ_CHAR(width, 0) : 0;
        int bytes = letter == 'h' ? 2 : letter == 'i' ? 4 : letter == 'q' ? 8 : letter == '?' ? 1 : 0;
        int varies = what == C_REQUEST_ID || what == C_DETAIL || what == C_FAST || what == C_SKETCH;
        if (what == last || (bytes == 0) != varies || (bytes == 0) != (PyUnicode_GET_LENGTH(width) == 0)) return ODD;
        layout->column[i].what = what;
        layout->column[i].width = bytes;
    }
    return OK;
}

static inline void put_at(char *to, uint64_t value, int width) {
    for (int i = width - 1; i >= 0; i--, value >>= 8) to[i] = (char)(value & 0xFF);
}

/* These write where bytes_ensure has made room. */
static inline void put(Bytes *out, uint64_t value, int width) {
    put_at(out->data + out->length, value, width);
    out->length += (size_t)width;
}

static inline void put_data(Bytes *out, const char *data, size_t length) {
    memcpy(out->data + out->length, data, length);
    out->length += length;
}

/* A number with its width before it. */
static inline int put_number(Bytes *out, int64_t value, int width) {
    if (width < 8) {
        int64_t most = width == 1 ? 1 : (1LL << (8 * width - 1)) - 1, least = width == 1 ? 0 : -most - 1;
        if (value < least || value > most) return ODD;
    }
    switch (width) { /* each with a constant, which a compiler makes one instruction of */
    case 1: put(out, 1, 4), put(out, (uint64_t)value, 1); break;
    case 2: put(out, 2, 4), put(out, (uint64_t)value, 2); break;
    case 4: put(out, 4, 4), put(out, (uint64_t)value, 4); break;
    default: put(out, 8, 4), put(out, (uint64_t)value, 8);
    }
    return OK;
}

/* ---- census ---- */

/* Days since 1970 of a date in the Gregorian calendar; Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms". */
static int64_t days_from_civil(int64_t year, int month, int day) {
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t of_era = year - era * 400;
    int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

/* A timestamp as sent, in microseconds since 1970. */
static int moment(PyObject *stamp, int64_t *at) {
    if (PyLong_CheckExact(stamp)) {
        int64_t ms;
        if (whole(stamp, &ms) || ms < 0 || ms > 1LL << 53) return ODD;
        *at = ms * 1000;
        return OK;
    }
    if (PyFloat_CheckExact(stamp)) {
        double ms = PyFloat_AS_DOUBLE(stamp);
        if (!(ms >= 0 && ms <= 9007199254740992.0)) return ODD;
        *at = (int64_t)(ms * 1000);
        return OK;
    }
    if (!PyDateTime_CheckExact(stamp)) return ODD;
    if (PyDateTime_DATE_GET_TZINFO(stamp) == PyDateTime_TimeZone_UTC) {
        int64_t days = days_from_civil(PyDateTime_GET_YEAR(stamp), PyDateTime_GET_MONTH(stamp), PyDateTime_GET_DAY(stamp));
        int64_t seconds = days * 86400 + PyDateTime_DATE_GET_HOUR(stamp) * 3600 + PyDateTime_DATE_GET_MINUTE(stamp) * 60 +
                          PyDateTime_DATE_GET_SECOND(stamp);
        *at = seconds * SECOND + PyDateTime_DATE_GET_MICROSECOND(stamp);
        return OK;
    }
    Py_INCREF(stamp);
    PyObject *found = PyObject_CallOneArg(known.microseconds, stamp);
    Py_DECREF(stamp);
    if (found == NULL) return RAISED;
    int odd = whole(found, at);
    Py_DECREF(found);
    return odd;
}

typedef struct {
    Index index;
    PyObject **texts; /* owned */
    int64_t *counts;
    size_t room;
} Tally;

static void tally_free(Tally *tally) {
    for (size_t i = 0; tally->texts && i < tally->index.used; i++) Py_XDECREF(tally->texts[i]);
    PyMem_Free(tally->texts);
    PyMem_Free(tally->counts);
    index_free(&tally->index);
}

static int tally_make(Tally *tally) {
    tally->room = 16;
    tally->texts = zeroed(tally->room, sizeof *tally->texts);
    tally->counts = zeroed(tally->room, sizeof *tally->counts);
    return index_make(&tally->index) == OK && tally->texts && tally->counts ? OK : RAISED;
}

/* Count a text that is_text has found to be one. Runs no Python code. */
static int tally_add(Tally *tally, PyObject *text, int64_t n) {
    Index *index = &tally->index;
    uint64_t hash = text_hash(text);
    size_t slot = hash & index->mask;
    for (; index->slots[slot]; slot = (slot + 1) & index->mask) {
        size_t entry = index->slots[slot] - 1;
        if (index->hashes[entry] == hash && same_text(tally->texts[entry], text)) {
            tally->counts[entry] += n;
            return OK;
        }
    }
    if (index->used == tally->room) {
        PyObject **texts = PyMem_Realloc(tally->texts, tally->room * 2 * sizeof *texts);
        if (texts != NULL) tally->texts = texts;
        int64_t *counts = PyMem_Realloc(tally->counts, tally->room * 2 * sizeof *counts);
        if (counts != NULL) tally->counts = counts;
        if (texts == NULL || counts == NULL) {
            PyErr_NoMemory();
            return RAISED;
        }
        tally->room *= 2;
    }
    size_t entry = index->used;
    Py_INCREF(text);
    tally->texts[entry] = text;
    tally->counts[entry] = n;
    return index_add(index, slot, hash);
}

static PyObject *tally_dict(Tally *tally) {
    PyObject *dict = PyDict_New();
    for (size_t i = 0; dict && i < tally->index.used; i++) {
        PyObject *n = PyLong_FromLongLong(tally->counts[i]);
        if (n == NULL || PyDict_SetItem(dict, tally->texts[i], n) < 0) Py_CLEAR(dict);
        Py_XDECREF(n);
    }
    return dict;
}

/* None, without an exception: ask the Python code. */
static PyObject *odd(void) {
    PyErr_Clear();
    Py_RETURN_NONE;
}

static int census_each(PyObject *outcomes, PyObject *now, PyObject *times, Tally *tally, int64_t *newest) {
    int64_t present;
    if (whole(now, &present)) return ODD;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(outcomes); i++) {
        PyObject *outcome = PyTuple_GET_ITEM(outcomes, i);
        if (Py_TYPE(outcome) != known.outcome) return ODD;
        PyObject *service = field(outcome, known.at[SERVICE]);
        if (!is_text(service)) return ODD;
        if (tally_add(tally, service, 1) < 0) return RAISED;
        PyObject *stamp = field(outcome, known.at[TIMESTAMP]);
        if (stamp == NULL) return ODD;
        int64_t at = present;
        PyObject *time = NULL;
        if (stamp == Py_None) {
            Py_INCREF(now);
            time = now;
        } else {
            int done = moment(stamp, &at);
            if (done != OK) return done;
            time = PyLong_FromLongLong(at);
            if (time == NULL) return RAISED;
        }
        PyList_SET_ITEM(times, i, time);
        if (i == 0 || at > newest[1]) newest[1] = at;
        if (i == 0 || at < newest[0]) newest[0] = at;
    }
    return OK;
}

PyDoc_STRVAR(census_doc, "census(outcomes, now): times, the oldest, the newest, how many of each service; None: not known");

static PyObject *census(PyObject *module, PyObject *args) {
    PyObject *given, *now, *times = NULL, *result = NULL, *services = NULL;
    if (!PyArg_ParseTuple(args, "OO:census", &given, &now)) return NULL;
    if (!PyList_CheckExact(given)) return odd();
    PyObject *outcomes = PyList_AsTuple(given); /* ours: nobody takes one away meanwhile */
    if (outcomes == NULL) return NULL;
    Tally tally = {0};
    int64_t range[2] = {0, 0};
    int done = tally_make(&tally);
    if (done == OK) {
        times = PyList_New(PyTuple_GET_SIZE(outcomes));
        done = times == NULL ? RAISED : census_each(outcomes, now, times, &tally, range);
    }
    if (done == OK) services = tally_dict(&tally);
    if (done == OK && services) result = Py_BuildValue("OLLO", times, (long long)range[0], (long long)range[1], services);
    Py_XDECREF(services);
    Py_XDECREF(times);
    Py_DECREF(outcomes);
    tally_free(&tally);
    return done == ODD ? odd() : result;
}

/* ---- count ---- */

/* One series as it was spelled, in one second. */
typedef struct {
    PyObject *service, *version, *route, *method; /* owned */
    PyObject *series;                             /* owned; NULL: not found yet */
    int64_t second, n;
    int32_t status, id;
} Cell;

typedef struct {
    PyObject *outcomes; /* a tuple of ours */
    Py_ssize_t items;
    int64_t *at, *durations;
    int32_t *places; /* twice the number of the cell; 1 more: bad */
    Cell *cells;
    size_t room;
    Index index;
} Batch;

static void batch_free(Batch *batch) {
    for (size_t i = 0; batch->cells && i < batch->index.used; i++) {
        Cell *cell = &batch->cells[i];
        Py_XDECREF(cell->service);
        Py_XDECREF(cell->version);
        Py_XDECREF(cell->route);
        Py_XDECREF(cell->method);
        Py_XDECREF(cell->series);
    }
    PyMem_Free(batch->cells);
    PyMem_Free(batch->at);
    PyMem_Free(batch->durations);
    PyMem_Free(batch->places);
    index_free(&batch->index);
    Py_XDECREF(batch->outcomes);
}

static int batch_make(Batch *batch, PyObject *outcomes) {
    if (!PyList_CheckExact(outcomes) || PyList_GET_SIZE(outcomes) > ITEMS_MAX) return ODD;
    batch->outcomes = PyList_AsTuple(outcomes);
    if (batch->outcomes == NULL) return RAISED;
    batch->items = PyTuple_GET_SIZE(batch->outcomes);
    size_t items = (size_t)batch->items;
    batch->at = zeroed(items, sizeof *batch->at);
    batch->durations = zeroed(items, sizeof *batch->durations);
    batch->places = zeroed(items, sizeof *batch->places);
    batch->room = 32;
    batch->cells = zeroed(batch->room, sizeof *batch->cells);
    if (index_make(&batch->index) < 0 || !batch->at || !batch->durations || !batch->places || !batch->cells) return RAISED;
    return OK;
}

static int times_into(Batch *batch, PyObject *times) {
    if (!PyList_CheckExact(times) || PyList_GET_SIZE(times) != batch->items) return ODD;
    for (Py_ssize_t i = 0; i < batch->items; i++)
        if (whole(PyList_GET_ITEM(times, i), &batch->at[i])) return ODD;
    return OK;
}

/* The number of the cell of an outcome, or RAISED or below. Runs no Python code. */
static int cell_of(Batch *batch, const Cell *wanted, size_t *number) {
    Index *index = &batch->index;
    uint64_t hash = mixed(known.secret, text_hash(wanted->service));
    hash = mixed(hash, text_hash(wanted->version));
    hash = mixed(hash, text_hash(wanted->route));
    hash = mixed(hash, text_hash(wanted->method));
    hash = mixed(hash, (uint64_t)wanted->second * known.secret + (uint64_t)wanted->status);
    size_t slot = hash & index->mask;
    for (; index->slots[slot]; slot = (slot + 1) & index->mask) {
        size_t entry = index->slots[slot] - 1;
        const Cell *cell = &batch->cells[entry];
        if (index->hashes[entry] == hash && cell->second == wanted->second && cell->status == wanted->status &&
            same_text(cell->route, wanted->route) && same_text(cell->service, wanted->service) &&
            same_text(cell->method, wanted->method) && same_text(cell->version, wanted->version)) {
            *number = entry;
            return OK;
        }
    }
    if (index->used == batch->room) {
        Cell *cells = PyMem_Realloc(batch->cells, batch->room * 2 * sizeof *cells);
        if (cells == NULL) {
            PyErr_NoMemory();
            return RAISED;
        }
        batch->cells = cells;
        batch->room *= 2;
    }
    *number = index->used;
    batch->cells[*number] = *wanted;
    Py_INCREF(wanted->service);
    Py_INCREF(wanted->version);
    Py_INCREF(wanted->route);
    Py_INCREF(wanted->method);
    return index_add(index, slot, hash);
}

/* Place every outcome in its cell, and note how long it took. Runs no Python code. */
static int place_all(Batch *batch) {
    for (Py_ssize_t i = 0; i < batch->items; i++) {
        PyObject *outcome = PyTuple_GET_ITEM(batch->outcomes, i);
        if (Py_TYPE(outcome) != known.outcome) return ODD;
        Cell wanted = {.service = field(outcome, known.at[SERVICE]),
                       .version = field(outcome, known.at[SENT_VERSION]),
                       .route = field(outcome, known.at[ROUTE]),
                       .method = field(outcome, known.at[METHOD]),
                       .second = second_of(batch->at[i])};
        int64_t status, weight; /* what stands for more than one request is for the Python code */
        if (whole(field(outcome, known.at[WEIGHT]), &weight) || weight != 1) return ODD;
        if (field(outcome, known.at[WITHIN]) != Py_None) return ODD;
        if (!is_text(wanted.service) || !is_text(wanted.route) || !is_text(wanted.method)) return ODD;
        if (wanted.version != Py_None && !is_text(wanted.version)) return ODD;
        if (whole(field(outcome, known.at[STATUS]), &status) || status < 0 || status > 32767) return ODD;
        wanted.status = (int32_t)status;
        PyObject *took = field(outcome, known.at[DURATION]), *error = field(outcome, known.at[BAD]);
        if (took == NULL || !PyFloat_CheckExact(took)) return ODD;
        double us = PyFloat_AS_DOUBLE(took) * 1000 + 0.5;
        if (!(us >= 0 && us < 9e15)) return ODD;
        if (error != Py_None && error != Py_True && error != Py_False) return ODD;
        int bad = error == Py_None ? status >= 500 : error == Py_True;
        size_t number;
        if (cell_of(batch, &wanted, &number) < 0) return RAISED;
        batch->durations[i] = (int64_t)us;
        batch->places[i] = (int32_t)(2 * number) + bad;
        batch->cells[number].n++;
    }
    return OK;
}

static PyObject *spelling_of(const Cell *cell) {
    PyObject *status = PyLong_FromLong(cell->status);
    if (status == NULL) return NULL;
    PyObject *spelling = PyTuple_Pack(5, cell->service, cell->version, cell->route, cell->method, status);
    Py_DECREF(status);
    return spelling;
}

/* This spelling has no number yet: note the first second of it. */
static int unnumbered_add(PyObject *unnumbered, PyObject *spelling, int64_t second) {
    PyObject *before = PyDict_GetItemWithError(unnumbered, spelling);
    int64_t earlier;
    if (before == NULL && PyErr_Occurred()) return RAISED;
    if (before != NULL && whole(before, &earlier) == OK && earlier <= second) return OK;
    PyObject *first = PyLong_FromLongLong(second);
    if (first == NULL) return RAISED;
    int failed = PyDict_SetItem(unnumbered, spelling, first);
    Py_DECREF(first);
    return failed < 0 ? RAISED : OK;
}

/* The series and its number into the cell; `series` is the cell's from now on. */
static int cell_is(Cell *cell, PyObject *series) {
    Py_XSETREF(cell->series, series);
    int64_t id;
    if (Py_TYPE(series) != known.series || whole(field(series, known.series_id), &id)) return ODD;
    if (id < INT32_MIN || id > INT32_MAX) return ODD;
    cell->id = (int32_t)id;
    return OK;
}

/* The series of a spelling, a new reference: what is known of it, or else what is found. This runs Python code. */
static PyObject *series_of(PyObject *spelling, PyObject *known_series, PyObject *find) {
    PyObject *series = PyDict_GetItemWithError(known_series, spelling);
    if (series != NULL) {
        Py_INCREF(series);
        return series;
    }
    return PyErr_Occurred() ? NULL : PyObject_CallOneArg(find, spelling);
}

/* Find the series of every cell; raises Unnumbered. This runs Python code. */
static int find_all(Batch *batch, PyObject *known_series, PyObject *find) {
    if (!PyDict_CheckExact(known_series)) return ODD;
    PyObject *unnumbered = NULL;
    int done = OK;
    for (size_t i = 0; done == OK && i < batch->index.used; i++) {
        PyObject *spelling = spelling_of(&batch->cells[i]);
        PyObject *series = spelling ? series_of(spelling, known_series, find) : NULL;
        if (series == NULL)
            done = RAISED;
        else if (series != Py_None)
            done = cell_is(&batch->cells[i], series);
        else {
            Py_DECREF(series);
            if (unnumbered == NULL) unnumbered = PyDict_New();
            done = unnumbered == NULL ? RAISED : unnumbered_add(unnumbered, spelling, batch->cells[i].second);
        }
        Py_XDECREF(spelling);
    }
    if (done == OK && unnumbered != NULL) {
        PyObject *raised = PyObject_CallOneArg(known.unnumbered, unnumbered);
        if (raised != NULL) PyErr_SetObject(known.unnumbered, raised);
        Py_XDECREF(raised);
        done = RAISED;
    }
    Py_XDECREF(unnumbered);
    return done;
}

/* The (series, second) of each cell. */
static PyObject *cells_list(const Batch *batch) {
    PyObject *cells = PyList_New((Py_ssize_t)batch->index.used);
    for (size_t i = 0; cells && i < batch->index.used; i++) {
        PyObject *second = PyLong_FromLongLong(batch->cells[i].second);
        PyObject *pair = second ? PyTuple_Pack(2, batch->cells[i].series, second) : NULL;
        Py_XDECREF(second);
        if (pair == NULL)
            Py_CLEAR(cells);
        else
            PyList_SET_ITEM(cells, (Py_ssize_t)i, pair);
    }
    return cells;
}

/* How many outcomes of each service, by the names that series have. */
static int services_of(const Batch *batch, PyObject **services) {
    Tally tally = {0};
    int done = tally_make(&tally);
    for (size_t i = 0; done == OK && i < batch->index.used; i++) {
        PyObject *name = field(batch->cells[i].series, known.series_name);
        if (name == NULL || !PyTuple_Check(name) || PyTuple_GET_SIZE(name) < 1 || !is_text(PyTuple_GET_ITEM(name, 0)))
            done = ODD;
        else
            done = tally_add(&tally, PyTuple_GET_ITEM(name, 0), batch->cells[i].n);
    }
    if (done == OK && (*services = tally_dict(&tally)) == NULL) done = RAISED;
    tally_free(&tally);
    return done;
}

/* A text as JSON writes it, in quotes. */
static int put_json(Bytes *out, const char *text, size_t length) {
    static const char digits[] = "0123456789abcdef";
    if (length > (size_t)PY_SSIZE_T_MAX / 8 || bytes_ensure(out, length * 6 + 2) < 0) return RAISED;
    char *to = out->data + out->length;
    *to++ = '"';
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c >= 0x20 && c != '"' && c != '\\') {
            *to++ = (char)c;
            continue;
        }
        *to++ = '\\';
        switch (c) {
        case '"': *to++ = '"'; break;
        case '\\': *to++ = '\\'; break;
        case '\b': *to++ = 'b'; break;
        case '\t': *to++ = 't'; break;
        case '\n': *to++ = 'n'; break;
        case '\f': *to++ = 'f'; break;
        case '\r': *to++ = 'r'; break;
        default:
            memcpy(to, "u00", 3);
            to[3] = digits[c >> 4];
            to[4] = digits[c & 15];
            to += 5;
        }
    }
    *to++ = '"';
    out->length = (size_t)(to - out->data);
    return OK;
}

/* The UTF-8 of a text; ODD where it has none. Runs no Python code. */
static inline const char *utf8(PyObject *text, Py_ssize_t *length) {
    const char *found = is_text(text) ? PyUnicode_AsUTF8AndSize(text, length) : NULL;
    return found != NULL && *length < INT32_MAX / 8 ? found : NULL;
}

/* What was sent beside the columns, as jsonb; NULL where nothing was. */
static int put_detail(Bytes *out, PyObject *outcome) {
    if (bytes_ensure(out, 16) < 0) return RAISED;
    size_t begun = out->length;
    for (Py_ssize_t i = 0; i < known.details; i++) {
        PyObject *sent = field(outcome, known.detail_at[i]);
        if (sent == Py_None) continue;
        Py_ssize_t length, name_length;
        const char *text = utf8(sent, &length), *name = utf8(known.detail_name[i], &name_length);
        if (text == NULL || name == NULL) return ODD;
        if (bytes_ensure(out, 16) < 0) return RAISED;
        if (out->length == begun)
            put(out, 0, 4), put(out, 1, 1), put(out, '{', 1); /* the length comes later; version of jsonb */
        else
            put(out, ',', 1);
        if (put_json(out, name, (size_t)name_length) < 0 || bytes_ensure(out, 16) < 0) return RAISED;
        put(out, ':', 1);
        if (put_json(out, text, (size_t)length) < 0) return RAISED;
    }
    if (bytes_ensure(out, 16) < 0) return RAISED;
    if (out->length == begun) {
        put(out, UINT32_MAX, 4);
        return OK;
    }
    put(out, '}', 1);
    size_t length = out->length - begun - 4;
    if (length > INT32_MAX) return ODD;
    put_at(out->data + begun, length, 4);
    return OK;
}

typedef struct {
    PyObject *pair; /* owned */
    const char *prefix;
    size_t length;
    int64_t number;
} MadeIds;

/* How the ids of requests without one begin, and the number that the first one ends in. */
static int made_ids(const Batch *batch, PyObject *random, MadeIds *made) {
    int64_t newest = 0;
    for (Py_ssize_t i = 0; i < batch->items; i++)
        if (i == 0 || batch->at[i] > newest) newest = batch->at[i];
    made->pair = PyObject_CallFunction(known.request_ids, "LO", (long long)newest, random);
    if (made->pair == NULL) return RAISED;
    if (!PyTuple_CheckExact(made->pair) || PyTuple_GET_SIZE(made->pair) != 2) return ODD;
    PyObject *prefix = PyTuple_GET_ITEM(made->pair, 0);
    if (!PyBytes_CheckExact(prefix) || PyBytes_GET_SIZE(prefix) > 64) return ODD;
    made->prefix = PyBytes_AS_STRING(prefix);
    made->length = (size_t)PyBytes_GET_SIZE(prefix);
    if (whole(PyTuple_GET_ITEM(made->pair, 1), &made->number)) return ODD;
    return made->number < 0 || made->number >= (1LL << 48) - ITEMS_MAX ? ODD : OK;
}

static int put_request_id(Bytes *out, PyObject *sent, const MadeIds *made, Py_ssize_t place) {
    static const char digits[] = "0123456789abcdef";
    if (sent == Py_None) {
        if (bytes_ensure(out, made->length + 16) < 0) return RAISED;
        put(out, made->length + 12, 4);
        put_data(out, made->prefix, made->length);
        uint64_t number = (uint64_t)(made->number + place);
        for (int shift = 44; shift >= 0; shift -= 4) out->data[out->length++] = digits[number >> shift & 15];
        return OK;
    }
    Py_ssize_t length;
    const char *text = utf8(sent, &length);
    if (text == NULL) return ODD;
    if (bytes_ensure(out, (size_t)length + 4) < 0) return RAISED;
    put(out, (uint64_t)length, 4);
    put_data(out, text, (size_t)length);
    return OK;
}

static int put_row(Bytes *out, const Layout *layout, const Batch *batch, Py_ssize_t i, const MadeIds *made, int timed) {
    PyObject *outcome = PyTuple_GET_ITEM(batch->outcomes, i);
    if (Py_TYPE(outcome) != known.outcome) return ODD;
    const Cell *cell = &batch->cells[batch->places[i] / 2];
    if (bytes_ensure(out, 2 + COLUMNS_MAX * 12) < 0) return RAISED;
    put(out, (uint64_t)layout->count, 2);
    for (int c = 0; c < layout->count; c++) {
        int64_t value = 0;
        int done;
        switch (layout->column[c].what) {
        case C_REQUEST_ID:
            done = put_request_id(out, field(outcome, known.at[REQUEST_ID]), made, i);
            if (done != OK) return done;
            continue;
        case C_DETAIL:
            done = put_detail(out, outcome);
            if (done != OK) return done;
            continue;
        case C_DURATION_US:
            if (!timed) {
                if (bytes_ensure(out, 16) < 0) return RAISED;
                put(out, UINT32_MAX, 4);
                continue;
            }
            value = batch->durations[i];
            break;
        case C_AT:
            if (__builtin_sub_overflow(batch->at[i], EPOCH_2000, &value)) return ODD;
            break;
        case C_SERIES_ID: value = cell->id; break;
        case C_BAD: value = batch->places[i] & 1; break;
        default: return ODD;
        }
        if (bytes_ensure(out, 16) < 0) return RAISED;
        if (put_number(out, value, layout->column[c].width)) return ODD;
    }
    return OK;
}

/* Every outcome as a row. Fields are looked at anew: Python code has run since. It runs none itself after the first step. */
static int put_rows(Bytes *out, PyObject *columns, const Batch *batch, PyObject *random, int timed) {
    Layout layout;
    MadeIds made = {0};
    int done = layout_of(columns, &layout, C_AT, C_DETAIL + 1);
    if (done == OK) done = made_ids(batch, random, &made);
    for (Py_ssize_t i = 0; done == OK && i < batch->items; i++) done = put_row(out, &layout, batch, i, &made, timed);
    Py_XDECREF(made.pair);
    return done;
}

static PyObject *array_of(const char *kind, const void *data, size_t size) {
    PyObject *bytes = PyBytes_FromStringAndSize(data, (Py_ssize_t)size);
    PyObject *array = bytes ? PyObject_CallFunction(known.array, "sO", kind, bytes) : NULL;
    Py_XDECREF(bytes);
    return array;
}

static int counted_of(const Batch *batch, const Bytes *rows, PyObject *timed, PyObject **result) {
    PyObject *services = NULL;
    int done = services_of(batch, &services);
    if (done != OK) return done;
    size_t items = (size_t)batch->items;
    PyObject *cells = cells_list(batch);
    PyObject *places = cells ? array_of("i", batch->places, items * sizeof *batch->places) : NULL;
    PyObject *durations = places ? array_of("q", batch->durations, items * sizeof *batch->durations) : NULL;
    PyObject *encoded = durations ? PyBytes_FromStringAndSize(rows->data, (Py_ssize_t)rows->length) : NULL;
    if (encoded)
        *result = PyObject_CallFunctionObjArgs(known.counted, cells, places, durations, services, encoded, timed, NULL);
    Py_XDECREF(encoded);
    Py_XDECREF(durations);
    Py_XDECREF(places);
    Py_XDECREF(cells);
    Py_DECREF(services);
    return *result ? OK : RAISED;
}

PyDoc_STRVAR(count_doc, "count(outcomes, times, known, find, random, timed, columns): a Counted; raises Unnumbered; None: not known");

static PyObject *count(PyObject *module, PyObject *args) {
    PyObject *outcomes, *times, *known_series, *find, *random, *timed, *columns, *result = NULL;
    if (!PyArg_ParseTuple(args, "OOOOOOO:count", &outcomes, &times, &known_series, &find, &random, &timed, &columns)) return NULL;
    if (timed != Py_True && timed != Py_False) return odd();
    Batch batch = {0};
    Bytes rows = {0};
    int done = batch_make(&batch, outcomes);
    if (done == OK) done = times_into(&batch, times);
    if (done == OK) done = place_all(&batch);
    if (done == OK) done = find_all(&batch, known_series, find);
    if (done == OK && random != Py_None) done = put_rows(&rows, columns, &batch, random, timed == Py_True);
    if (done == OK) done = counted_of(&batch, &rows, timed, &result);
    batch_free(&batch);
    PyMem_Free(rows.data);
    return done == ODD ? odd() : result;
}

/* ---- delta_rows ---- */

/* A cell of one of the batches of a flush. */
typedef struct {
    PyObject *series; /* owned */
    int64_t second;
    int32_t id;
    uint32_t delta; /* the number of the delta that it goes into */
} Part;

/* One series in one second, of all batches. */
typedef struct {
    PyObject *series; /* a part's */
    int64_t second;
    int32_t id;
    size_t good, bad, all;   /* how many; `all` is their sum */
    size_t begin;            /* where its durations begin, the good ones first */
    size_t good_at, bad_at;  /* where the next ones go */
} Delta;

typedef struct {
    Part *parts;
    size_t part_count, part_room;
    uint32_t *places; /* of each outcome: twice the number of its part; 1 more: bad */
    int64_t *sent;    /* its duration */
    size_t items, item_room;
    Part **order;
    Delta *deltas;
    size_t delta_count;
    int64_t *durations; /* by delta */
    int timed;
} Flush;

static void flush_free(Flush *flush) {
    for (size_t i = 0; i < flush->part_count; i++) Py_DECREF(flush->parts[i].series);
    PyMem_Free(flush->parts);
    PyMem_Free(flush->places);
    PyMem_Free(flush->sent);
    PyMem_Free(flush->order);
    PyMem_Free(flush->deltas);
    PyMem_Free(flush->durations);
}

/* Room in *array for `needed` things, by doubling. */
static int grown(void **array, size_t *room, size_t needed, size_t size) {
    if (needed <= *room) return OK;
    size_t more = *room < 256 ? 256 : *room;
    while (more < needed) more *= 2;
    void *found = PyMem_Realloc(*array, more * size);
    if (found == NULL) {
        PyErr_NoMemory();
        return RAISED;
    }
    *array = found;
    *room = more;
    return OK;
}

static int part_add(Flush *flush, PyObject *cell) {
    if (!PyTuple_CheckExact(cell) || PyTuple_GET_SIZE(cell) != 2) return ODD;
    PyObject *series = PyTuple_GET_ITEM(cell, 0);
    int64_t id, second;
    if (Py_TYPE(series) != known.series || whole(field(series, known.series_id), &id)) return ODD;
    if (whole(PyTuple_GET_ITEM(cell, 1), &second) || id < INT32_MIN || id > INT32_MAX) return ODD;
    if (grown((void **)&flush->parts, &flush->part_room, flush->part_count + 1, sizeof *flush->parts) < 0) return RAISED;
    Py_INCREF(series);
    flush->parts[flush->part_count++] = (Part){.series = series, .second = second, .id = (int32_t)id};
    return OK;
}

/* A view of the numbers of an array of this kind. */
static int view_of(PyObject *batch, const char *name, const char *kind, Py_ssize_t size, Py_buffer *view) {
    PyObject *array = PyObject_GetAttrString(batch, name);
    if (array == NULL) return RAISED;
    int exact = (PyObject *)Py_TYPE(array) == known.array;
    int failed = exact ? PyObject_GetBuffer(array, view, PyBUF_FORMAT | PyBUF_ND) : ODD;
    Py_DECREF(array);
    if (failed) return ODD;
    if (view->itemsize == size && view->ndim == 1 && view->format && strcmp(view->format, kind) == 0) return OK;
    PyBuffer_Release(view);
    return ODD;
}

/* Copy the outcomes of one batch, whose `cells` parts are the last ones, each once its part is known to be there. */
static int copy_items(Flush *flush, size_t cells, const Py_buffer *places, const Py_buffer *durations) {
    size_t items = (size_t)places->len / sizeof(int32_t), first = flush->part_count - cells;
    if (items != (size_t)durations->len / sizeof(int64_t) || flush->items + items > ITEMS_MAX) return ODD;
    if (flush->part_count > ITEMS_MAX) return ODD;
    size_t room = flush->item_room;
    if (grown((void **)&flush->places, &room, flush->items + items, sizeof *flush->places) < 0) return RAISED;
    if (grown((void **)&flush->sent, &flush->item_room, flush->items + items, sizeof *flush->sent) < 0) return RAISED;
    const int32_t *place = places->buf;
    for (size_t i = 0; i < items; i++) {
        if (place[i] < 0 || (size_t)place[i] / 2 >= cells) return ODD;
        flush->places[flush->items + i] = (uint32_t)(2 * first) + (uint32_t)place[i];
    }
    if (items) memcpy(flush->sent + flush->items, durations->buf, items * sizeof(int64_t));
    flush->items += items;
    return OK;
}

/* Take in one batch. */
static int bring(Flush *flush, PyObject *batch) {
    if ((PyObject *)Py_TYPE(batch) != known.counted) return ODD;
    PyObject *weights = PyObject_GetAttrString(batch, "weights");
    if (weights == NULL) return RAISED;
    int weighted = weights != Py_None;
    Py_DECREF(weights);
    if (weighted) return ODD;
    PyObject *within = PyObject_GetAttrString(batch, "within");
    if (within == NULL) return RAISED;
    Py_ssize_t buckets = PyObject_Size(within);
    Py_DECREF(within);
    if (buckets != 0) return ODD;
    PyObject *cells = PyObject_GetAttrString(batch, "cells");
    if (cells == NULL) return RAISED;
    int done = PyList_CheckExact(cells) ? OK : ODD;
    size_t before = flush->part_count;
    for (Py_ssize_t i = 0; done == OK && i < PyList_GET_SIZE(cells); i++) done = part_add(flush, PyList_GET_ITEM(cells, i));
    Py_DECREF(cells);
    Py_buffer places, durations;
    if (done == OK) done = view_of(batch, "places", "i", sizeof(int32_t), &places);
    if (done != OK) return done;
    done = view_of(batch, "durations", "q", sizeof(int64_t), &durations);
    if (done == OK) {
        done = copy_items(flush, flush->part_count - before, &places, &durations);
        PyBuffer_Release(&durations);
    }
    PyBuffer_Release(&places);
    return done;
}

static int bring_all(Flush *flush, PyObject *batches) {
    if (!PyList_CheckExact(batches)) return ODD;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(batches); i++) {
        PyObject *batch = PyList_GET_ITEM(batches, i);
        Py_INCREF(batch);
        int done = bring(flush, batch);
        PyObject *timed = done == OK && i == 0 ? PyObject_GetAttrString(batch, "timed") : NULL;
        Py_DECREF(batch);
        if (done != OK) return done;
        if (i != 0) continue;
        if (timed != Py_True && timed != Py_False) done = ODD;
        flush->timed = timed == Py_True;
        Py_XDECREF(timed);
        if (done != OK) return done;
    }
    return OK;
}

static int by_series_and_second(const void *one, const void *other) {
    const Part *a = *(Part *const *)one, *b = *(Part *const *)other;
    if (a->id != b->id) return a->id < b->id ? -1 : 1;
    if (a->second != b->second) return a->second < b->second ? -1 : 1;
    return a < b ? -1 : a > b; /* the one that came first gives its series */
}

/* One delta for each series and second, in their order. */
static int merge(Flush *flush) {
    flush->order = zeroed(flush->part_count, sizeof *flush->order);
    flush->deltas = zeroed(flush->part_count, sizeof *flush->deltas);
    flush->durations = zeroed(flush->items, sizeof *flush->durations);
    if (!flush->order || !flush->deltas || !flush->durations) return RAISED;
    for (size_t i = 0; i < flush->part_count; i++) flush->order[i] = &flush->parts[i];
    qsort(flush->order, flush->part_count, sizeof *flush->order, by_series_and_second);
    for (size_t i = 0; i < flush->part_count; i++) {
        Part *part = flush->order[i];
        Delta *last = flush->delta_count ? &flush->deltas[flush->delta_count - 1] : NULL;
        if (last == NULL || last->id != part->id || last->second != part->second)
            flush->deltas[flush->delta_count++] = (Delta){.series = part->series, .second = part->second, .id = part->id};
        part->delta = (uint32_t)(flush->delta_count - 1);
    }
    return OK;
}

static inline Delta *delta_of(const Flush *flush, size_t item) {
    return &flush->deltas[flush->parts[flush->places[item] / 2].delta];
}

/* The durations of each delta beside one another. */
static void gather(Flush *flush) {
    for (size_t i = 0; i < flush->items; i++) {
        Delta *delta = delta_of(flush, i);
        flush->places[i] & 1 ? delta->bad++ : delta->good++;
    }
    size_t begin = 0;
    for (size_t d = 0; d < flush->delta_count; d++) {
        Delta *delta = &flush->deltas[d];
        delta->all = delta->good + delta->bad;
        delta->begin = delta->good_at = begin;
        delta->bad_at = begin + delta->good;
        begin += delta->all;
    }
    for (size_t i = 0; i < flush->items; i++) {
        Delta *delta = delta_of(flush, i);
        flush->durations[flush->places[i] & 1 ? delta->bad_at++ : delta->good_at++] = flush->sent[i];
    }
}

/* The bucket of a duration: server/live/sketch.py. */
static inline int32_t bucket(int64_t us) { return us > 0 ? 1 + (int32_t)ceil(log((double)us) * known.per_log) : 0; }

static int ascending(const void *one, const void *other) {
    int64_t a = *(const int64_t *)one, b = *(const int64_t *)other;
    return a < b ? -1 : a > b;
}

static void sort(int64_t *numbers, size_t count) {
    if (count > 16) {
        qsort(numbers, count, sizeof *numbers, ascending);
        return;
    }
    for (size_t i = 1; i < count; i++) {
        int64_t number = numbers[i];
        size_t place = i;
        for (; place > 0 && numbers[place - 1] > number; place--) numbers[place] = numbers[place - 1];
        numbers[place] = number;
    }
}

/* The head of a bigint[] of so many elements, its length before it: server/ingest/rows.py, `packed`. */
static void put_array_head(Bytes *out, size_t elements) {
    put(out, elements ? 20 + 12 * elements : 12, 4);
    put(out, elements ? 1 : 0, 4);
    put(out, 0, 4);
    put(out, 20, 4);
    if (elements) put(out, elements, 4), put(out, 1, 4);
}

static inline void put_pair(Bytes *out, int64_t key, size_t count) {
    put(out, 8, 4);
    put(out, (uint64_t)key << 32 | (uint64_t)count, 8);
}

/* How many good ones took at most each threshold. */
static int put_fast(Bytes *out, const Flush *flush, const Delta *delta, const Bytes *thresholds) {
    const int64_t *limits = (const int64_t *)thresholds->data;
    size_t count = flush->timed ? thresholds->length / sizeof *limits : 0;
    if (bytes_ensure(out, 24 + 12 * count) < 0) return RAISED;
    put_array_head(out, count);
    for (size_t t = 0; t < count; t++) {
        size_t fast = 0;
        for (size_t i = 0; i < delta->good; i++) fast += flush->durations[delta->begin + i] <= limits[t];
        put_pair(out, limits[t], fast);
    }
    return OK;
}

/* How many are in each bucket. Their durations are buckets from now on. */
static int put_sketch(Bytes *out, Flush *flush, const Delta *delta) {
    int64_t *buckets = flush->durations + delta->begin;
    size_t count = flush->timed ? delta->all : 0, distinct = 0;
    if (bytes_ensure(out, 24 + 12 * count) < 0) return RAISED;
    for (size_t i = 0; i < count; i++) buckets[i] = bucket(buckets[i]);
    sort(buckets, count);
    for (size_t i = 0; i < count; i++) distinct += i == 0 || buckets[i] != buckets[i - 1];
    put_array_head(out, distinct);
    for (size_t i = 0, next; i < count; i = next) {
        for (next = i + 1; next < count && buckets[next] == buckets[i];) next++;
        put_pair(out, buckets[i], next - i);
    }
    return OK;
}

static int sum_of(const Flush *flush, const Delta *delta, int64_t *sum) {
    *sum = 0;
    for (size_t i = 0; flush->timed && i < delta->all; i++)
        if (__builtin_add_overflow(*sum, flush->durations[delta->begin + i], sum)) return ODD;
    return OK;
}

/* The thresholds of a service, ascending and each once, as 64-bit numbers in bytes: `cache` has those that were asked
 * for. This runs Python code. */
static int thresholds_of(PyObject *cache, PyObject *asked, const Delta *delta, Bytes *into) {
    PyObject *name = field(delta->series, known.series_name);
    if (name == NULL || !PyTuple_Check(name) || PyTuple_GET_SIZE(name) < 1 || !is_text(PyTuple_GET_ITEM(name, 0))) return ODD;
    PyObject *service = PyTuple_GET_ITEM(name, 0), *found = PyDict_GetItemWithError(cache, service);
    if (found == NULL && PyErr_Occurred()) return RAISED;
    if (found != NULL) {
        Py_INCREF(found);
    } else {
        Py_INCREF(service);
        found = PyObject_CallOneArg(asked, service);
        int failed = found == NULL || PyDict_SetItem(cache, service, found) < 0;
        Py_DECREF(service);
        if (failed) {
            Py_XDECREF(found);
            return RAISED;
        }
    }
    int done = PyTuple_CheckExact(found) ? OK : ODD;
    into->length = 0;
    for (Py_ssize_t i = 0; done == OK && i < PyTuple_GET_SIZE(found); i++) {
        int64_t threshold;
        if (whole(PyTuple_GET_ITEM(found, i), &threshold) || threshold < 0 || threshold > INT32_MAX) {
            done = ODD;
        } else if ((done = bytes_ensure(into, sizeof threshold)) == OK) {
            put_data(into, (const char *)&threshold, sizeof threshold);
        }
    }
    Py_DECREF(found);
    if (done != OK) return done;
    int64_t *numbers = (int64_t *)into->data;
    size_t count = into->length / sizeof *numbers, distinct = 0;
    sort(numbers, count);
    for (size_t i = 0; i < count; i++)
        if (i == 0 || numbers[i] != numbers[i - 1]) numbers[distinct++] = numbers[i];
    into->length = distinct * sizeof *numbers;
    return OK;
}

static int put_delta(Bytes *out, const Layout *layout, Flush *flush, const Delta *delta, const int64_t *numbering,
                     const Bytes *thresholds) {
    int64_t sum, second;
    if (sum_of(flush, delta, &sum) || __builtin_mul_overflow(delta->second, SECOND, &second)) return ODD;
    if (__builtin_sub_overflow(second, EPOCH_2000, &second)) return ODD;
    if (bytes_ensure(out, 2 + COLUMNS_MAX * 12) < 0) return RAISED;
    put(out, (uint64_t)layout->count, 2);
    for (int c = 0; c < layout->count; c++) {
        int64_t value = 0;
        int done;
        switch (layout->column[c].what) {
        case C_FAST:
            if ((done = put_fast(out, flush, delta, thresholds)) != OK) return done;
            continue;
        case C_SKETCH: /* after C_FAST: numbers of a fixed width and then these two, by the order of columns */
            if ((done = put_sketch(out, flush, delta)) != OK) return done;
            continue;
        case C_WRITER_ID: value = numbering[0]; break;
        case C_SEQ: value = numbering[1]; break;
        case C_SERIES_ID: value = delta->id; break;
        case C_SECOND: value = second; break;
        case C_N: value = (int64_t)delta->all; break;
        case C_BAD: value = (int64_t)delta->bad; break;
        case C_DURATION_US: value = sum; break;
        default: return ODD;
        }
        if (bytes_ensure(out, 16) < 0) return RAISED;
        if (put_number(out, value, layout->column[c].width)) return ODD;
    }
    return OK;
}

/* The sketch makes buckets of durations, so that what needs those comes before it. */
static int sketch_is_last(const Layout *layout) {
    for (int c = 0; c + 1 < layout->count; c++)
        if (layout->column[c].what == C_SKETCH) return 0;
    return 1;
}

static int put_deltas(Bytes *out, Flush *flush, PyObject *columns, const int64_t *numbering, PyObject *asked) {
    Layout layout;
    Bytes thresholds = {0};
    int done = layout_of(columns, &layout, 0, COLUMNS);
    if (done == OK && !sketch_is_last(&layout)) done = ODD;
    PyObject *cache = done == OK ? PyDict_New() : NULL;
    if (done == OK && cache == NULL) done = RAISED;
    for (size_t d = 0; done == OK && d < flush->delta_count; d++) {
        done = thresholds_of(cache, asked, &flush->deltas[d], &thresholds);
        if (done == OK) done = put_delta(out, &layout, flush, &flush->deltas[d], numbering, &thresholds);
    }
    Py_XDECREF(cache);
    PyMem_Free(thresholds.data);
    return done;
}

PyDoc_STRVAR(delta_rows_doc, "delta_rows(writer_id, seq, batches, thresholds, columns): bytes; None: not known");

static PyObject *delta_rows(PyObject *module, PyObject *args) {
    PyObject *writer_id, *seq, *batches, *thresholds, *columns, *result = NULL;
    if (!PyArg_ParseTuple(args, "OOOOO:delta_rows", &writer_id, &seq, &batches, &thresholds, &columns)) return NULL;
    int64_t numbering[2];
    if (whole(writer_id, &numbering[0]) || whole(seq, &numbering[1])) return odd();
    Flush flush = {0};
    Bytes out = {0};
    int done = bring_all(&flush, batches);
    if (done == OK) done = merge(&flush);
    if (done == OK) {
        gather(&flush);
        done = put_deltas(&out, &flush, columns, numbering, thresholds);
    }
    if (done == OK) result = PyBytes_FromStringAndSize(out.data, (Py_ssize_t)out.length);
    flush_free(&flush);
    PyMem_Free(out.data);
    return done == ODD ? odd() : result;
}

/* ---- spans ---- */

#define SAYS_WHERE 0x100 /* of a span's flags: server/receivers/otlp/layers.py */
#define REMOTE 0x200
#define ATTRIBUTES_MAX 1000 /* of a span: server/receivers/otlp/attributes.py */
#define PATHS_MAX 4
#define DAY_NS 86400000000000ULL
#define DAY_MS 86400000.0
#define FAILED_FROM 500
#define CLAIM_BYTES 16
enum { SPAN_INTERNAL = 1, SPAN_SERVER, SPAN_CLIENT, SPAN_PRODUCER, SPAN_CONSUMER, SPAN_ERROR = 2 };
enum { VARINT, FIXED64, DELIMITED, FIXED32 = 5 };

typedef struct {
    const unsigned char *at, *end;
} Wire;

/* A number of at most 28 bits; what is longer, longer than it need be, or cut is for the Python code. */
static inline int wire_number(Wire *wire, uint32_t *number) {
    *number = 0;
    for (int shift = 0; shift < 28 && wire->at < wire->end; shift += 7) {
        unsigned char byte = *wire->at++;
        *number |= (uint32_t)(byte & 0x7F) << shift;
        if (byte < 0x80) return byte == 0 && shift ? ODD : OK;
    }
    return ODD;
}

static inline int wire_take(Wire *wire, size_t length, Wire *taken) {
    if (length > (size_t)(wire->end - wire->at)) return ODD;
    *taken = (Wire){wire->at, wire->at + length};
    wire->at += length;
    return OK;
}

/* The next field: its number, its type and its bytes, or its number's value. Groups are for the Python code. */
static inline int wire_field(Wire *wire, uint32_t *tag, uint32_t *value, Wire *bytes) {
    if (wire_number(wire, tag) || *tag < 8) return ODD;
    switch (*tag & 7) {
    case VARINT: return wire_number(wire, value);
    case FIXED64: return wire_take(wire, 8, bytes);
    case DELIMITED: return wire_number(wire, value) ? ODD : wire_take(wire, *value, bytes);
    case FIXED32: return wire_take(wire, 4, bytes);
    default: return ODD;
    }
}

/* A number of a fixed width. */
static inline uint64_t number_of(Wire bytes) {
    uint64_t number = 0;
    while (bytes.end > bytes.at) number = number << 8 | *--bytes.end;
    return number;
}

static inline size_t wire_length(Wire bytes) { return (size_t)(bytes.end - bytes.at); }

/* What of a span is looked at. */
typedef struct {
    Wire trace_id, span_id, parent, name;
    uint64_t start, end;
    uint32_t kind, code, flags;
    Py_ssize_t attributes;
    int events, sampled, odd; /* `odd`: its attributes are written otherwise than encoders do */
    Wire paths[PATHS_MAX];
} WireSpan;

/* What attributes begin with that are looked at: tuples of bytes, of paths in their order; and how many of them make an
 * INTERNAL span one for the Python code. */
typedef struct {
    PyObject *telling, *paths;
    Py_ssize_t inside;
} LookedAt;

/* What is known: KnownRequests by keys, which begin so. */
typedef struct {
    PyObject *begin, *requests;
} Known;

/* Whether protobuf takes it for a string. */
static int is_utf8(Wire text) {
    for (const unsigned char *c = text.at; c < text.end; c++) {
        if (*c < 0x80) continue;
        PyObject *decoded = PyUnicode_DecodeUTF8((const char *)text.at, (Py_ssize_t)wire_length(text), NULL);
        if (decoded == NULL) PyErr_Clear();
        Py_XDECREF(decoded);
        return decoded != NULL;
    }
    return 1;
}

/* The code of a span's status, where it has one: of several statuses the last that has. */
static int status_code(Wire status, uint32_t *code) {
    uint32_t tag, value;
    Wire bytes;
    while (status.at < status.end) {
        if (wire_field(&status, &tag, &value, &bytes)) return ODD;
        if (tag == (3 << 3 | VARINT)) *code = value;
    }
    return OK;
}

/* Which of these an attribute begins as; -1: as none. */
static inline Py_ssize_t begin_of(Wire attribute, PyObject *begins) {
    size_t named = 2 + (size_t)attribute.at[1];
    for (Py_ssize_t i = 0; named <= wire_length(attribute) && i < PyTuple_GET_SIZE(begins); i++) {
        PyObject *begin = PyTuple_GET_ITEM(begins, i);
        if ((size_t)PyBytes_GET_SIZE(begin) == named && memcmp(PyBytes_AS_STRING(begin), attribute.at, named) == 0) return i;
    }
    return -1;
}

/* Whether a path has at most so many segments, or begins with this one: of an address, scheme and host are counted too,
 * and never said to be the first. */
static int is_within(Wire path, int64_t most, const char *first, size_t length) {
    int64_t count = 0;
    Wire begin = {0};
    for (const unsigned char *c = path.at, *before = NULL; c < path.end && *c != '?'; before = c++) {
        if (*c == '/') continue;
        if (before == NULL || *before == '/') count++;
        if (count == 1) begin = (Wire){begin.at ? begin.at : c, c + 1};
    }
    if (count <= most) return 1;
    return begin.end[-1] != ':' && wire_length(begin) == length && memcmp(begin.at, first, length) == 0;
}

/* The text of an attribute, which has nothing else behind its name. */
static int text_of(Wire attribute, Wire *text) {
    uint32_t tag, value;
    attribute.at += 2 + attribute.at[1];
    if (wire_field(&attribute, &tag, &value, text) || tag != (2 << 3 | DELIMITED) || attribute.at != attribute.end) return ODD;
    Wire any = *text;
    if (wire_field(&any, &tag, &value, text) || tag != (1 << 3 | DELIMITED) || any.at != any.end) return ODD;
    return is_utf8(*text) ? OK : ODD;
}

/* What an attribute says: into the key what tells, into the span its paths. */
static int span_attribute(WireSpan *span, Wire attribute, Bytes *key, const LookedAt *looked_at) {
    span->attributes++;
    if (wire_length(attribute) < 2 || attribute.at[0] != 0x0A) span->odd = 1;
    if (span->odd) return OK;
    if (begin_of(attribute, looked_at->telling) >= 0) {
        if (bytes_ensure(key, wire_length(attribute) + 4) < 0) return RAISED;
        put(key, wire_length(attribute), 4);
        put_data(key, (const char *)attribute.at, wire_length(attribute));
        return OK;
    }
    Py_ssize_t which = begin_of(attribute, looked_at->paths);
    if (which < 0) return OK;
    span->odd = text_of(attribute, &span->paths[which]);
    return OK;
}

/* The path that is told first, or else the one in the name. */
static Wire path_of(const WireSpan *span) {
    for (int i = 0; i < PATHS_MAX; i++)
        if (wire_length(span->paths[i])) return span->paths[i];
    const unsigned char *space = span->name.at ? memchr(span->name.at, ' ', wire_length(span->name)) : NULL;
    if (space == NULL || space + 1 == span->name.end || space[1] != '/') return (Wire){0};
    return (Wire){space + 1, span->name.end};
}

static int span_field(WireSpan *span, uint32_t tag, uint32_t value, Wire bytes, Bytes *key, const LookedAt *looked_at) {
    switch (tag) { /* what is none of these, or of another type, protobuf passes over too; what comes again counts last */
    case 1 << 3 | DELIMITED: span->trace_id = bytes; break;
    case 2 << 3 | DELIMITED: span->span_id = bytes; break;
    case 3 << 3 | DELIMITED: span->sampled = wire_length(bytes) > 0; return is_utf8(bytes) ? OK : ODD;
    case 4 << 3 | DELIMITED: span->parent = bytes; break;
    case 5 << 3 | DELIMITED: span->name = bytes; return is_utf8(bytes) ? OK : ODD;
    case 6 << 3 | VARINT: span->kind = value; break;
    case 7 << 3 | FIXED64: span->start = number_of(bytes); break;
    case 8 << 3 | FIXED64: span->end = number_of(bytes); break;
    case 9 << 3 | DELIMITED: return span_attribute(span, bytes, key, looked_at);
    case 11 << 3 | DELIMITED: span->events = 1; break;
    case 15 << 3 | DELIMITED: return status_code(bytes, &span->code);
    case 16 << 3 | FIXED32: span->flags = (uint32_t)number_of(bytes); break;
    }
    return OK;
}

/* A span, and by what is known what it says: server/receivers/otlp/told.py, `key_of`. */
static int read_span(PyObject *sent, PyObject *begin, WireSpan *span, Bytes *key, const LookedAt *looked_at) {
    if (!PyBytes_CheckExact(sent)) return ODD;
    const unsigned char *data = (const unsigned char *)PyBytes_AS_STRING(sent);
    Wire wire = {data, data + PyBytes_GET_SIZE(sent)}, bytes = {0};
    *span = (WireSpan){0};
    key->length = 0;
    if (bytes_ensure(key, (size_t)PyBytes_GET_SIZE(begin) + 4) < 0) return RAISED;
    put_data(key, PyBytes_AS_STRING(begin), (size_t)PyBytes_GET_SIZE(begin));
    put(key, 0, 4); /* the code comes later */
    while (wire.at < wire.end) {
        uint32_t tag, value = 0;
        if (wire_field(&wire, &tag, &value, &bytes)) return ODD;
        int done = span_field(span, tag, value, bytes, key, looked_at);
        if (done != OK) return done;
    }
    put_at(key->data + PyBytes_GET_SIZE(begin), span->code, 4);
    return OK;
}

/* Whether nothing of a span is needed: it is neither a request nor a call that failed, nor tells of a request. */
static inline int is_passed_over(const WireSpan *span, const LookedAt *looked_at) {
    if (span->kind == SPAN_INTERNAL) return span->attributes < looked_at->inside;
    if (span->kind == SPAN_SERVER || span->kind == SPAN_CONSUMER) return 0;
    return (span->kind != SPAN_CLIENT && span->kind != SPAN_PRODUCER) || span->code != SPAN_ERROR;
}

static inline int is_alike(const WireSpan *span) {
    return span->kind == SPAN_SERVER && !span->events && !span->sampled && !span->odd &&
           span->attributes <= ATTRIBUTES_MAX && wire_length(span->trace_id) == 16 && wire_length(span->span_id) == 8;
}

static PyObject *hexadecimal(Wire bytes) {
    static const char digits[] = "0123456789abcdef";
    PyObject *text = PyUnicode_New((Py_ssize_t)(2 * wire_length(bytes)), 127);
    if (text == NULL) return NULL;
    Py_UCS1 *to = PyUnicode_1BYTE_DATA(text);
    for (const unsigned char *byte = bytes.at; byte < bytes.end; byte++) {
        *to++ = (Py_UCS1)digits[*byte >> 4];
        *to++ = (Py_UCS1)digits[*byte & 15];
    }
    return text;
}

/* Its end in milliseconds, as Python divides whole numbers: of a number so large not as C does. */
static PyObject *timestamp_of(uint64_t end) {
    if (end == 0) Py_RETURN_NONE;
    PyObject *ns = PyLong_FromUnsignedLongLong(end);
    PyObject *ms = ns ? PyNumber_TrueDivide(ns, known.million) : NULL;
    Py_XDECREF(ns);
    return ms;
}

/* Who sent: texts, or None for the last two. */
typedef struct {
    PyObject *service, *version, *instance;
} Sender;

/* The outcome of a span, of which a ToldRequest says the rest. */
static PyObject *outcome_of(const WireSpan *span, const Sender *sender, PyObject *told) {
    uint64_t took = span->start && span->start < span->end ? span->end - span->start : 0;
    PyObject *trace_id = hexadecimal(span->trace_id), *timestamp = timestamp_of(span->end);
    PyObject *duration = PyFloat_FromDouble(took < DAY_NS ? (double)took / 1e6 : DAY_MS), *outcome = NULL;
    if (trace_id && timestamp && duration) {
        PyObject *given[] = {sender->service, PyTuple_GET_ITEM(told, 1), PyTuple_GET_ITEM(told, 0), PyTuple_GET_ITEM(told, 2),
                             duration,        timestamp,                 sender->version,           trace_id,
                             PyTuple_GET_ITEM(told, 6), sender->instance, trace_id};
        outcome = PyObject_Vectorcall((PyObject *)known.outcome, given, 8, known.span_names);
    }
    Py_XDECREF(trace_id);
    Py_XDECREF(timestamp);
    Py_XDECREF(duration);
    return outcome;
}

/* What it is counted once by: server/receivers/otlp/spans.py, `claim_of`. */
static int claim(const WireSpan *span, PyObject *claims) {
    Py_ssize_t size = PyByteArray_GET_SIZE(claims);
    if (PyByteArray_Resize(claims, size + CLAIM_BYTES) < 0) return RAISED;
    char *to = PyByteArray_AS_STRING(claims) + size;
    uint64_t first = span->end && span->end < span->start ? span->end : span->start;
    uint64_t second = first / 1000000000;
    put_at(to, second <= UINT32_MAX ? second : 0, 4);
    memcpy(to + 4, span->span_id.at, 8);
    memcpy(to + 12, span->trace_id.at + 12, 4);
    return OK;
}

/* What spans become. */
typedef struct {
    PyObject *outcomes, *claims, *failed, *inner;
} Taken;

/* A request that may be an inner layer of another: its id, its parent's, and whether that is of the same process. */
static int note_inner(const WireSpan *span, PyObject *inner) {
    if (!wire_length(span->parent) || span->flags & REMOTE) return OK;
    PyObject *noted = Py_BuildValue("(y#y#O)", (const char *)span->span_id.at, (Py_ssize_t)wire_length(span->span_id),
                                    (const char *)span->parent.at, (Py_ssize_t)wire_length(span->parent),
                                    span->flags & SAYS_WHERE ? Py_True : Py_False);
    int failed = noted == NULL || PyList_Append(inner, noted) < 0;
    Py_XDECREF(noted);
    return failed ? RAISED : OK;
}

static int take_outcome(const WireSpan *span, const Sender *sender, PyObject *told, const Taken *into) {
    int64_t status;
    if (!PyTuple_Check(told) || PyTuple_GET_SIZE(told) != 7 || whole(PyTuple_GET_ITEM(told, 2), &status)) return ODD;
    PyObject *outcome = outcome_of(span, sender, told);
    if (outcome == NULL) return RAISED;
    int done = PyList_Append(into->outcomes, outcome) < 0 ? RAISED : claim(span, into->claims);
    if (done == OK) done = note_inner(span, into->inner);
    if (done == OK && status >= FAILED_FROM) {
        PyObject *span_id = PyBytes_FromStringAndSize((const char *)span->span_id.at, 8);
        if (span_id == NULL || PyDict_SetItem(into->failed, span_id, outcome) < 0) done = RAISED;
        Py_XDECREF(span_id);
    }
    Py_DECREF(outcome);
    return done;
}

/* What is told of a request, of a KnownRequest, borrowed: NULL where that is not of such a path. */
static PyObject *told_of(PyObject *request, Wire path) {
    int64_t most;
    if (!PyTuple_Check(request) || PyTuple_GET_SIZE(request) != 3) return NULL;
    PyObject *told = PyTuple_GET_ITEM(request, 0), *first = PyTuple_GET_ITEM(request, 2);
    if (whole(PyTuple_GET_ITEM(request, 1), &most) || most < 0 || !PyBytes_CheckExact(first)) return NULL;
    return is_within(path, most, PyBytes_AS_STRING(first), (size_t)PyBytes_GET_SIZE(first)) ? told : NULL;
}

/* Take a span; ODD where it is for the Python code. */
static int take_span(PyObject *sent, const LookedAt *looked_at, const Known *before, const Sender *sender, const Taken *into,
                     Bytes *key) {
    WireSpan span;
    int done = read_span(sent, before->begin, &span, key, looked_at);
    if (done != OK || is_passed_over(&span, looked_at)) return done;
    if (!is_alike(&span)) return ODD;
    PyObject *name = PyBytes_FromStringAndSize(key->data, (Py_ssize_t)key->length);
    if (name == NULL) return RAISED;
    PyObject *request = PyDict_GetItemWithError(before->requests, name);
    Py_XINCREF(request);
    Py_DECREF(name);
    if (request == NULL) return PyErr_Occurred() ? RAISED : ODD;
    PyObject *told = told_of(request, path_of(&span));
    done = told ? take_outcome(&span, sender, told, into) : ODD;
    Py_DECREF(request);
    return done;
}

static int are_begins(PyObject *begins) {
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(begins); i++)
        if (!PyBytes_CheckExact(PyTuple_GET_ITEM(begins, i))) return 0;
    return 1;
}

PyDoc_STRVAR(take_spans_doc, "take_spans(spans, begin, looked_at, known, sender, into): how many it has taken");

static PyObject *take_spans(PyObject *module, PyObject *args) {
    PyObject *spans;
    Py_ssize_t begin;
    LookedAt looked_at;
    Known before;
    Sender sender;
    Taken into;
    Bytes key = {0};
    if (!PyArg_ParseTuple(args, "O!n(O!O!n)(O!O!)(OOO)(O!O!O!O!):take_spans", &PyList_Type, &spans, &begin, &PyTuple_Type,
                          &looked_at.telling, &PyTuple_Type, &looked_at.paths, &looked_at.inside, &PyBytes_Type,
                          &before.begin, &PyDict_Type, &before.requests, &sender.service, &sender.version,
                          &sender.instance, &PyList_Type, &into.outcomes, &PyByteArray_Type, &into.claims, &PyDict_Type,
                          &into.failed, &PyList_Type, &into.inner))
        return NULL;
    int known_begins = are_begins(looked_at.telling) && are_begins(looked_at.paths);
    if (begin < 0 || !known_begins || PyTuple_GET_SIZE(looked_at.paths) != PATHS_MAX) return PyLong_FromLong(0);
    Py_ssize_t place = begin;
    int done = OK;
    for (; done == OK && place < PyList_GET_SIZE(spans); place += done == OK) {
        PyObject *sent = PyList_GET_ITEM(spans, place);
        Py_INCREF(sent);
        done = take_span(sent, &looked_at, &before, &sender, &into, &key);
        Py_DECREF(sent);
    }
    PyMem_Free(key.data);
    return done == RAISED ? NULL : PyLong_FromSsize_t(place - begin);
}

/* ---- the module ---- */

/* Where a field is in an object of this type: only where it is a plain place for an object. */
static int place_of(PyObject *type, const char *name, Py_ssize_t *at) {
    PyObject *member = PyObject_GetAttrString(type, name);
    int plain = 0;
    if (member != NULL && Py_TYPE(member) == &PyMemberDescr_Type) {
        PyMemberDef *def = ((PyMemberDescrObject *)member)->d_member;
        plain = def->type == T_OBJECT_EX && def->offset >= (Py_ssize_t)sizeof(PyObject) &&
                def->offset + (Py_ssize_t)sizeof(PyObject *) <= ((PyTypeObject *)type)->tp_basicsize;
        *at = def->offset;
    }
    Py_XDECREF(member);
    if (!plain && !PyErr_Occurred()) PyErr_Format(PyExc_ImportError, "%s is not where the compiled part expects it", name);
    return plain ? OK : RAISED;
}

static PyObject *imported(const char *module, const char *name) {
    PyObject *from = PyImport_ImportModule(module);
    PyObject *found = from ? PyObject_GetAttrString(from, name) : NULL;
    Py_XDECREF(from);
    return found;
}

static int learn_details(PyObject *outcome) {
    PyObject *fields = imported("server.tables.detail", "FIELDS");
    if (fields == NULL) return RAISED;
    int done = PyTuple_CheckExact(fields) && PyTuple_GET_SIZE(fields) <= DETAILS_MAX ? OK : RAISED;
    if (done != OK) PyErr_SetString(PyExc_ImportError, "the details of an outcome are more than the compiled part knows");
    for (Py_ssize_t i = 0; done == OK && i < PyTuple_GET_SIZE(fields); i++) {
        PyObject *name = PyTuple_GET_ITEM(fields, i);
        const char *text = PyUnicode_AsUTF8(name);
        if (text == NULL || place_of(outcome, text, &known.detail_at[i]) < 0) {
            done = RAISED;
            break;
        }
        Py_INCREF(name);
        known.detail_name[i] = name;
        known.details = i + 1;
    }
    Py_DECREF(fields);
    return done;
}

static int learn_places(void) {
    for (int i = 0; i < KNOWN; i++)
        if (place_of((PyObject *)known.outcome, FIELD_NAMES[i], &known.at[i]) < 0) return RAISED;
    if (place_of((PyObject *)known.series, "id", &known.series_id) < 0) return RAISED;
    if (place_of((PyObject *)known.series, "name", &known.series_name) < 0) return RAISED;
    return learn_details((PyObject *)known.outcome);
}

/* What the Python code says; once a process. */
static int learn(void) {
    PyDateTime_IMPORT;
    if (PyDateTimeAPI == NULL) return RAISED;
    known.outcome = (PyTypeObject *)imported("server.ingest.outcome", "Outcome");
    known.series = (PyTypeObject *)imported("server.ingest.series", "Series");
    known.microseconds = imported("server.ingest.outcome", "microseconds");
    known.request_ids = imported("server.ingest.rows", "request_ids");
    known.counted = imported("server.ingest.counted", "Counted");
    known.unnumbered = imported("server.ingest.counted", "Unnumbered");
    known.array = imported("array", "array");
    known.million = PyLong_FromLong(1000000);
    known.span_names = Py_BuildValue("(NNN)", PyUnicode_InternFromString("error_class"),
                                     PyUnicode_InternFromString("instance"), PyUnicode_InternFromString("trace_id"));
    PyObject *per_log = imported("server.live.sketch", "PER_LOG");
    if (!known.outcome || !known.series || !known.microseconds || !known.request_ids || !known.counted ||
        !known.unnumbered || !known.array || !known.million || !known.span_names || !per_log)
        return RAISED;
    known.per_log = PyFloat_AsDouble(per_log);
    Py_DECREF(per_log);
    if (PyErr_Occurred()) return RAISED;
    if (!PyType_Check((PyObject *)known.outcome) || !PyType_Check((PyObject *)known.series)) {
        PyErr_SetString(PyExc_ImportError, "Outcome and Series are not types");
        return RAISED;
    }
    PyObject *text = PyUnicode_FromString("evenkeel"); /* its hash is a secret of the process */
    if (text == NULL) return RAISED;
    known.secret = (uint64_t)PyObject_Hash(text) | 1;
    Py_DECREF(text);
    return learn_places();
}

static PyMethodDef methods[] = {
    {"census", census, METH_VARARGS, census_doc},
    {"count", count, METH_VARARGS, count_doc},
    {"delta_rows", delta_rows, METH_VARARGS, delta_rows_doc},
    {"take_spans", take_spans, METH_VARARGS, take_spans_doc},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, .m_name = "server.ingest.compiled", .m_doc = "Counts and encodes outcomes.", .m_size = -1,
    .m_methods = methods,
};

PyMODINIT_FUNC PyInit_compiled(void) {
    if (learn() < 0) return NULL;
    PyObject *module = PyModule_Create(&definition);
    if (module != NULL && PyModule_AddIntConstant(module, "VERSION", VERSION) < 0) Py_CLEAR(module);
    return module;
}
