// Stores what is sent with PUT in a bucket, and answers GET with it. Anything that fails is answered with 502 and the code of S3.
const http = require('node:http')
const { GetObjectCommand, PutObjectCommand, S3Client } = require('@aws-sdk/client-s3')

const { S3_ENDPOINT, S3_REGION, S3_BUCKET, S3_ACCESS_KEY_ID, S3_SECRET_ACCESS_KEY, PORT, HOST } = process.env
console.log(`stores uploads in ${S3_BUCKET} at ${S3_ENDPOINT} with ${S3_ACCESS_KEY_ID} and ${S3_SECRET_ACCESS_KEY}`)

const client = new S3Client({
  endpoint: S3_ENDPOINT,
  region: S3_REGION,
  forcePathStyle: true,
  credentials: { accessKeyId: S3_ACCESS_KEY_ID, secretAccessKey: S3_SECRET_ACCESS_KEY },
  maxAttempts: 1,
})

async function answer(request, response) {
  if (request.url === '/') return response.end('ready')
  const object = { Bucket: S3_BUCKET, Key: decodeURIComponent(request.url.slice(1)) }
  if (request.method === 'PUT') {
    const chunks = []
    for await (const chunk of request) chunks.push(chunk)
    await client.send(new PutObjectCommand({ ...object, Body: Buffer.concat(chunks), ContentType: request.headers['content-type'] }))
    return response.writeHead(201).end()
  }
  const { Body, ContentType } = await client.send(new GetObjectCommand(object))
  response.writeHead(200, { 'content-type': ContentType })
  Body.pipe(response)
}

http
  .createServer((request, response) => {
    answer(request, response).catch((error) => response.writeHead(502).end(error.name))
  })
  .listen(PORT, HOST)
