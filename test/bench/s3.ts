/** Throughput of uploads and downloads through the S3 endpoint with files as the store, its CPU time per MB, and the memory that they take. */
import { readFile } from 'node:fs/promises'
import { type ClientRequest, request } from 'node:http'
import { startServer, type TestServer } from '../support/server.ts'
import type { BenchResult } from './run.ts'

const clients = 4
const objectBytes = 64 * 1024 ** 2
const objectsOfClient = 8
const [leastMbPerSecond, mostMoreMb] = [200, 60]
const piece = Buffer.alloc(512 * 1024, 'quayside')

export default async function bench(): Promise<BenchResult> {
  const server = await startServer()
  try {
    const { createBucket } = await server.gql('mutation ($name: String!) { createBucket(input: { name: $name }) { bucket { id } } }', {
      name: 'bench-of-s3',
    })
    const bucketId = createBucket.bucket.id as string
    // Loads what the endpoint loads with its first request.
    await upload(await urlOf(server, bucketId, 'PUT', 'warm'), piece.length)
    await download(await urlOf(server, bucketId, 'GET', 'warm'))
    const rows: BenchResult['rows'] = []
    for (const method of ['PUT', 'GET'] as const) rows.push(await measure(server, bucketId, method))
    return {
      scenario: 's3',
      rows,
      passed: rows.every((row) => Number(row['MB/s']) >= leastMbPerSecond && Number(row['more MB']) <= mostMoreMb),
    }
  } finally {
    await server.close()
  }
}

async function measure(server: TestServer, bucketId: string, method: 'PUT' | 'GET'): Promise<Record<string, string | number>> {
  const { pid } = server.process
  const before = await statusOf(pid)
  let peakMb = before.residentMb
  const watch = setInterval(async () => {
    peakMb = Math.max(peakMb, (await statusOf(pid)).residentMb)
  }, 50)
  const urls = await Promise.all(
    Array.from({ length: clients * objectsOfClient }, (_, n) => urlOf(server, bucketId, method, `object-${n}`)),
  )
  const started = performance.now()
  await Promise.all(
    Array.from({ length: clients }, async (_, client) => {
      for (let n = client; n < urls.length; n += clients) await (method === 'PUT' ? upload(urls[n]!, objectBytes) : download(urls[n]!))
    }),
  )
  const seconds = (performance.now() - started) / 1_000
  clearInterval(watch)
  const after = await statusOf(pid)
  const megabytes = (urls.length * objectBytes) / 1e6
  return {
    method,
    MB: Math.round(megabytes),
    'MB/s': Math.round(megabytes / seconds),
    'CPU ms/MB': Number((((after.cpuSeconds - before.cpuSeconds) * 1_000) / megabytes).toFixed(2)),
    'resident MB': Math.round(before.residentMb),
    'more MB': Math.round(peakMb - before.residentMb),
  }
}

async function urlOf(server: TestServer, bucketId: string, method: string, key: string): Promise<string> {
  const { presignObject } = await server.gql('mutation ($input: PresignObjectInput!) { presignObject(input: $input) { url } }', {
    input: { bucketId, key, method },
  })
  return presignObject.url
}

/** Resident memory and CPU time of a process. */
async function statusOf(pid: number): Promise<{ residentMb: number; cpuSeconds: number }> {
  const [status, stat] = await Promise.all([readFile(`/proc/${pid}/status`, 'utf8'), readFile(`/proc/${pid}/stat`, 'utf8')])
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return {
    residentMb: Number(/VmRSS:\s+(\d+)/.exec(status)![1]) / 1_000,
    cpuSeconds: (Number(fields[11]) + Number(fields[12])) / 100,
  }
}

const upload = (url: string, sizeBytes: number): Promise<void> =>
  exchange(url, 'PUT', { 'content-length': sizeBytes }, (sent) => {
    let left = sizeBytes
    const write = () => {
      while (left > 0) {
        const next = piece.subarray(0, Math.min(left, piece.length))
        left -= next.length
        if (!sent.write(next)) return void sent.once('drain', write)
      }
      sent.end()
    }
    write()
  })

const download = (url: string): Promise<void> => exchange(url, 'GET', {}, (sent) => void sent.end())

function exchange(url: string, method: string, headers: Record<string, number>, begin: (sent: ClientRequest) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const sent = request(url, { method, headers }, (response) => {
      response
        .on('error', reject)
        .on('end', () => (response.statusCode === 200 ? resolve() : reject(new Error(`status ${response.statusCode}`))))
      response.resume()
    })
    sent.on('error', reject)
    begin(sent)
  })
}
