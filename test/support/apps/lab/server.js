// A web service that does what its paths say: exits, prints, hangs. A file named `beats` makes it print a numbered line now and then.
const { randomUUID } = require('node:crypto')
const { existsSync, readFileSync } = require('node:fs')
const { createServer } = require('node:http')

const boot = randomUUID()
const version = readFileSync('version.txt', 'utf8').trim()
let healthy = !existsSync('unhealthy')
let hanging = false

const answers = {
  '/': () => version,
  '/boot': () => boot,
  '/print': (query) => {
    for (let line = 1; line <= Number(query.get('lines')); line++) console.log(`${query.get('tag')} ${line}`)
    return 'printed'
  },
  '/hang': () => {
    hanging = true
    return 'hangs from now on'
  },
  '/sicken': () => {
    healthy = false
    return 'unhealthy from now on'
  },
}

const server = createServer((request, response) => {
  const url = new URL(request.url, 'http://localhost')
  if (url.pathname === '/exit') process.exit(Number(url.searchParams.get('code')))
  if (hanging) return
  const reply = () => {
    if (url.pathname === '/health') response.writeHead(healthy ? 200 : 503).end('health')
    else response.writeHead(answers[url.pathname] ? 200 : 404).end(answers[url.pathname]?.(url.searchParams) ?? 'not found')
  }
  setTimeout(reply, Number(url.searchParams.get('wait') ?? 0))
})

server.listen(Number(process.env.PORT), process.env.HOST, () => console.log(`${version} listens`))
if (existsSync('beats')) {
  let beat = 0
  setInterval(() => console.log(`${boot} beat ${++beat}`), 50)
}
process.on('SIGTERM', () => {
  console.log(`${version} was asked to end`)
  server.close(() => process.exit(0))
  server.closeIdleConnections()
})
