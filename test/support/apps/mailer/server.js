// A web service that sends a mail with the email service that it is connected to. `/send?to=…` answers what the API answered.
const { createServer } = require('node:http')

const { EMAIL_API_URL: url, EMAIL_API_KEY: key, EMAIL_FROM: from } = process.env

async function send(to) {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'Api-Key': key, 'Content-Type': 'application/json' },
    body: JSON.stringify({ from, to: [to], subject: 'From the app', text: 'Sent by a deployed service.' }),
  })
  return [response.status, await response.text()]
}

const server = createServer(async (request, response) => {
  const to = new URL(request.url, 'http://localhost').searchParams.get('to')
  const [status, body] = to ? await send(to).catch((error) => [502, String(error)]) : [200, 'ready\n']
  response.writeHead(status).end(body)
})
server.listen(Number(process.env.PORT), process.env.HOST)
process.on('SIGTERM', () => server.close(() => process.exit(0)))
