/** The receiver of S6, in its own process: responds to every request with 204, and to any message with the number of requests. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

let received = 0
const lags: number[] = []
const server = createServer((request, response) => {
  const chunks: Buffer[] = []
  request.on('data', (chunk: Buffer) => chunks.push(chunk))
  request.on('end', () => {
    received++
    if (lags.length < 100_000) {
      const sent = /"timestamp":"([^"]+)"/.exec(Buffer.concat(chunks).toString('latin1'))?.[1]
      if (sent) lags.push(Date.now() - Date.parse(sent))
    }
    response.writeHead(204).end()
  })
})
server.listen(0, '127.0.0.1', () => process.send?.((server.address() as AddressInfo).port))
process.on('message', (message) => {
  if (message === 'reset') {
    received = 0
    lags.length = 0
  }
  process.send?.({ received, lags: message === 'lags' ? lags : [] })
})
