import type { Socket } from 'node:net'

/** Answers what Node could not read as a request. */
export function refuseConnection(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) return void socket.destroy()
  const { status, code, message } = refusals[error.code ?? ''] ?? notHttp
  const body = `<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>${code}</Code><Message>${message}</Message></Error>`
  const head = `Content-Type: application/xml\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close`
  socket.end(`HTTP/1.1 ${status}\r\n${head}\r\n\r\n${body}`)
}

const notHttp = { status: '400 Bad Request', code: 'BadRequest', message: 'The request is not valid HTTP.' }
const refusals: Record<string, typeof notHttp> = {
  ERR_HTTP_REQUEST_TIMEOUT: { status: '408 Request Timeout', code: 'RequestTimeout', message: 'The request did not arrive in time.' },
  HPE_HEADER_OVERFLOW: {
    status: '431 Request Header Fields Too Large',
    code: 'RequestHeaderSectionTooLarge',
    message: 'The headers of the request are too large.',
  },
}
