// Listens where it likes: PORT is not looked at.
const server = require('node:http').createServer((_request, response) => response.end('elsewhere\n'))
server.listen(Number(process.env.FIXED_PORT ?? 0), '127.0.0.1', () => console.log(`listens on ${server.address().port}`))
