/** A service deployed from git stores uploads in its bucket by its variables; presigned URLs and a key of its own reach the same objects. */
import { randomBytes } from 'node:crypto'
import { request } from 'node:http'
import { GetObjectCommand, S3Client } from '@aws-sdk/client-s3'
import { beforeAll, expect, it } from 'vitest'
import { packageFiles } from '../support/package-files.ts'
import { acceptance, appFiles, type Data, until } from './support.ts'

const world = acceptance()
let [service, bucket, binding]: [Data, Data, Data] = [{}, {}, {}]

/** What a library needs to run as CommonJS. */
const isNeeded = (path: string) => !/\/(dist-es|dist-types|node_modules\/[^@].*\/src)\/|\.(ts|map|md)$/.test(path)

beforeAll(async () => {
  const libraries = Object.entries(await packageFiles(['@aws-sdk/client-s3'])).filter(([path]) => isNeeded(path))
  const repository = await world.repository(await appFiles('uploads', Object.fromEntries(libraries)))
  service = await world.service({ name: 'Uploads', repositoryUrl: repository.url })
  bucket = (await world.mutate('createBucket', { name: `uploads-${Date.now()}` }, 'bucket { id name endpoint }')).bucket
  binding = (await world.mutate('connectBucket', { bucketId: bucket.id, webServiceId: service.id }, 'resourceBinding { id }'))
    .resourceBinding
  await world.live(service)
})

const upload = randomBytes(300_000)

/** A request to the service through the router. */
const send = (method: string, path: string, body?: Buffer, headers: Record<string, string> = {}) =>
  new Promise<{ status: number; body: Buffer; type: string | undefined }>((resolve, reject) => {
    const host = `${service.slug}.localhost:${world.server.routerPort}`
    const sent = request(
      { host: '127.0.0.1', port: world.server.routerPort, method, path, headers: { ...headers, host } },
      async (response) => {
        const chunks: Buffer[] = []
        for await (const chunk of response) chunks.push(chunk as Buffer)
        resolve({ status: response.statusCode!, body: Buffer.concat(chunks), type: response.headers['content-type'] })
      },
    )
    sent.on('error', reject)
    sent.end(body)
  })

const used = async () =>
  await world.server.gql('query ($id: ID!) { bucket(id: $id) { sizeBytes objectCount } storageTenant { usedBytes } }', { id: bucket.id })

it('an upload is stored in the bucket and read back, and counted', async () => {
  expect((await send('PUT', '/pictures/one.png', upload, { 'content-type': 'image/png' })).status).toBe(201)
  const { status, body, type } = await send('GET', '/pictures/one.png')
  expect([status, type, body.equals(upload)]).toEqual([200, 'image/png', true])
  expect(await used()).toEqual({ bucket: { sizeBytes: upload.length, objectCount: 1 }, storageTenant: { usedBytes: upload.length } })
})

it('a presigned URL reads it, and another one stores an object that the service reads', async () => {
  const presign = (input: Data) => world.mutate('presignObject', { bucketId: bucket.id, ...input }, 'url headers')
  const read = await presign({ key: 'pictures/one.png', method: 'GET' })
  expect(Buffer.from(await (await fetch(read.url)).arrayBuffer()).equals(upload)).toBe(true)
  const write = await presign({ key: 'notes/für alle.txt', method: 'PUT', contentType: 'text/plain' })
  expect((await fetch(write.url, { method: 'PUT', body: 'hello', headers: { 'content-type': 'text/html' } })).status).toBe(403)
  expect((await fetch(write.url, { method: 'PUT', body: 'hello', headers: write.headers })).status).toBe(200)
  expect((await send('GET', '/notes/f%C3%BCr%20alle.txt')).body.toString()).toBe('hello')
})

it('a storage key reads it until it is deleted', async () => {
  const { storageKey, secretAccessKey } = await world.mutate(
    'createStorageKey',
    { name: 'reader', bucketIds: [bucket.id], permissions: { read: true } },
    'storageKey { id accessKeyId } secretAccessKey',
  )
  const credentials = { accessKeyId: storageKey.accessKeyId, secretAccessKey }
  const client = new S3Client({ endpoint: bucket.endpoint, region: 'us-east-1', forcePathStyle: true, credentials, maxAttempts: 1 })
  const read = async () => {
    const { Body } = await client.send(new GetObjectCommand({ Bucket: bucket.name, Key: 'pictures/one.png' }))
    return Body!.transformToByteArray()
  }
  expect(Buffer.from(await read()).equals(upload)).toBe(true)
  await world.mutate('deleteStorageKey', { id: storageKey.id }, 'deletedId')
  await expect(read()).rejects.toThrow(expect.objectContaining({ name: 'InvalidAccessKeyId' }))
  client.destroy()
})

it('once the bucket is disconnected, the running service is refused, and nothing that it printed has the secret', async () => {
  await world.mutate('disconnectResource', { id: binding.id }, 'deletedId')
  const refused = await send('PUT', '/pictures/two.png', upload)
  expect([refused.status, refused.body.toString()]).toEqual([502, 'InvalidAccessKeyId'])
  const printed = await until('the log has its first line', async () =>
    (await world.serviceLog(service)).find(({ message }) => message.includes(bucket.name)),
  )
  expect(printed.message).toMatch(/ with QS[A-Z2-7]{18} and \S+$/)
  expect(printed.message).not.toMatch(/and [\w-]{40}$/)
})

it('the bucket is deleted with its objects by force only, and then its name can be used again', async () => {
  await expect(world.mutate('deleteBucket', { id: bucket.id }, 'deletedId')).rejects.toThrow('contains objects')
  await world.mutate('deleteBucket', { id: bucket.id, force: true }, 'deletedId')
  await until('its name is free', () =>
    world.mutate('createBucket', { name: bucket.name }, 'bucket { id }').then(
      () => true,
      () => false,
    ),
  )
  expect((await world.server.gql('{ storageTenant { usedBytes } }')).storageTenant.usedBytes).toBe(0)
})
