// A web service without dependencies. The file version.txt names its version; a file named unhealthy fails its health check.
const { createHash } = require('node:crypto')
const { existsSync, readFileSync } = require('node:fs')
const { createServer } = require('node:http')

const version = readFileSync('version.txt', 'utf8').trim()
const hash = (value) => createHash('sha256').update(value).digest('hex')

const answers = {
  '/': () => [200, `${version}\n`],
  '/health': () => (existsSync('unhealthy') ? [503, 'unhealthy\n'] : [200, 'ok\n']),
  '/moved': () => [302, '', { location: '/' }],
  // Values leave as hashes only: name -> SHA-256 in hex.
  '/env-hash': () => [200, JSON.stringify(Object.fromEntries(Object.entries(process.env).map(([name, value]) => [name, hash(value)])))],
}

const server = createServer((request, response) => {
  const url = new URL(request.url, 'http://localhost')
  const reply = () => {
    const [status, body, headers] = answers[url.pathname]?.() ?? [404, 'not found\n']
    response.writeHead(status, headers).end(body)
  }
  // `?wait=200` answers that many milliseconds later.
  setTimeout(reply, Number(url.searchParams.get('wait') ?? 0))
})

server.listen(Number(process.env.PORT), process.env.HOST, () => console.log(`${version} listens on ${process.env.PORT}`))
process.on('SIGTERM', () => {
  console.log(`${version} was asked to end`)
  server.close(() => process.exit(0))
  server.closeIdleConnections()
})
