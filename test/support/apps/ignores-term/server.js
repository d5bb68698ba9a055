// Hears SIGTERM and goes on.
process.on('SIGTERM', () => console.log('not yet'))
require('node:http')
  .createServer((_request, response) => response.end('still here\n'))
  .listen(Number(process.env.PORT), process.env.HOST, () => console.log('up'))
