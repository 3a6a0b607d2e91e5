// One application of each framework, with the same addresses: node apps.js FRAMEWORK, on $PORT.
const port = Number(process.env.PORT)
const later = (ms) => new Promise((done) => setTimeout(done, ms))
const up = () => console.log('up')
const streamed = async (answer) => {
  answer.writeHead(200)
  for (let part = 0; part < 3; part++) {
    answer.write('x')
    await later(20)
  }
  answer.end()
}
const boom = () => { throw new TypeError('boom') }
const reject = async () => { await later(2); throw new RangeError('rejected') }

const frameworks = {
  express() {
    const express = require('express'), app = express(), api = express.Router()
    api.get('/items/:id', (_, answer) => answer.send('x'))
    app.use('/api/v1', api)
    for (const [path, status] of [['/ok', 200], ['/orders/:id', 200], ['/missing/:id', 404], ['/bad', 400], ['/fail', 500]]) app.get(path, (_, answer) => answer.status(status).send('x'))
    app.post('/orders', (_, answer) => answer.status(201).send('x'))
    app.get('/boom', boom)
    app.get('/reject', reject)
    app.get('/moved', (_, answer) => answer.redirect('/ok'))
    app.get('/stream', (_, answer) => streamed(answer))
    app.use((error, _, answer, __) => answer.status(500).send(error.message))
    app.listen(port, up)
  },
  async fastify() {
    const app = require('fastify')({logger: true}), {FastifyOtelInstrumentation} = require('@fastify/otel')
    await app.register(new FastifyOtelInstrumentation().plugin())
    app.register(async (api) => { api.get('/items/:id', async () => 'x') }, {prefix: '/api/v1'})
    for (const [path, status] of [['/ok', 200], ['/orders/:id', 200], ['/missing/:id', 404], ['/bad', 400], ['/fail', 500]]) app.get(path, async (_, answer) => answer.code(status).send('x'))
    app.post('/orders', async (_, answer) => answer.code(201).send('x'))
    app.get('/boom', boom)
    app.get('/reject', reject)
    app.get('/moved', async (_, answer) => answer.redirect('/ok'))
    app.get('/stream', (_, answer) => { answer.hijack(); streamed(answer.raw) })
    await app.listen({port})
    up()
  },
  koa() {
    const Koa = require('koa'), {Router} = require('@koa/router'), app = new Koa(), own = new Router(), api = new Router({prefix: '/api/v1'})
    app.silent = true
    api.get('/items/:id', (context) => { context.body = 'x' })
    for (const [path, status] of [['/ok', 200], ['/orders/:id', 200], ['/missing/:id', 404], ['/bad', 400], ['/fail', 500]]) own.get(path, (context) => { context.status = status; context.body = 'x' })
    own.post('/orders', (context) => { context.status = 201; context.body = 'x' })
    own.get('/boom', boom)
    own.get('/reject', reject)
    own.get('/moved', (context) => context.redirect('/ok'))
    own.get('/stream', (context) => { context.respond = false; return streamed(context.res) })
    app.use(api.routes()).use(own.routes()).listen(port, up)
  },
  async hapi() {
    const server = require('@hapi/hapi').server({port, debug: false})
    const add = (path, handler, method = 'GET') => server.route({method, path, handler})
    for (const [path, status] of [['/ok', 200], ['/orders/{id}', 200], ['/missing/{id}', 404], ['/bad', 400], ['/fail', 500]]) add(path, (_, made) => made.response('x').code(status))
    add('/orders', (_, made) => made.response('x').code(201), 'POST')
    add('/boom', boom)
    add('/reject', reject)
    add('/moved', (_, made) => made.redirect('/ok'))
    add('/stream', async (request, made) => { await streamed(request.raw.res); return made.abandon })
    const items = {name: 'items', register: (api) => api.route({method: 'GET', path: '/items/{id}', handler: () => 'x'})}
    await server.register(items, {routes: {prefix: '/api/v1'}})
    await server.start()
    up()
  },
  hono() {
    const {Hono} = require('hono'), {serve} = require('@hono/node-server'), {streamText} = require('hono/streaming'), app = new Hono(), api = new Hono()
    app.use('*', require('@hono/otel').httpInstrumentationMiddleware())
    api.get('/items/:id', (context) => context.text('x'))
    app.route('/api/v1', api)
    for (const [path, status] of [['/ok', 200], ['/orders/:id', 200], ['/missing/:id', 404], ['/bad', 400], ['/fail', 500]]) app.get(path, (context) => context.text('x', status))
    app.post('/orders', (context) => context.text('x', 201))
    app.get('/boom', boom)
    app.get('/reject', reject)
    app.get('/moved', (context) => context.redirect('/ok'))
    app.get('/stream', (context) => streamText(context, async (stream) => { for (let part = 0; part < 3; part++) { await stream.write('x'); await later(20) } }))
    app.onError((error, context) => context.text(error.message, 500))
    serve({fetch: app.fetch, port}, up)
  },
  restify() {
    const server = require('restify').createServer()
    const add = (path, status) => server.get(path, (_, answer, next) => { answer.send(status, 'x'); return next() })
    for (const [path, status] of [['/ok', 200], ['/orders/:id', 200], ['/api/v1/items/:id', 200], ['/missing/:id', 404], ['/bad', 400], ['/fail', 500]]) add(path, status)
    server.head('/ok', (_, answer, next) => { answer.send(200); return next() })
    server.post('/orders', (_, answer, next) => { answer.send(201, 'x'); return next() })
    server.get('/boom', (_, __, next) => next(new TypeError('boom')))
    server.get('/reject', reject)
    server.get('/moved', (_, answer, next) => answer.redirect('/ok', next))
    server.get('/stream', (_, answer, next) => { streamed(answer).then(() => next()) })
    server.get('/hang', () => {})
    server.listen(port, up)
  },
}
Promise.resolve(frameworks[process.argv[2]]()).catch((error) => { console.error(error); process.exit(1) })
