/** S3 clients that nobody here wrote, over each store: s3cmd, rclone and curl. */
import { execFile } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdir, mkdtemp, open, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { presign } from '../../src/platform/s3-signature.ts'
import { s3World, stores, usageOf } from './support.ts'

/** Without the environment of whoever runs the tests, which may configure these clients. */
const exec = (program: string, args: string[]) =>
  promisify(execFile)(program, args, { maxBuffer: 1e8, env: { PATH: process.env.PATH, HOME: directory } })
/** The tree has 1,000 files, and a tenth of them in the folder that the slower store gets. */
const files = { all: 1_000, tenth: 100 }
const megabytes = { all: 200, tenth: 20 }

let directory: string
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'quayside-s3-client-'))
  for (let n = 0; n < files.all; n++) {
    const path = join(directory, 'tree', n % 10 === 0 ? 'tenth' : 'rest', `folder ${n % 17}`, `ü-${n % 5}`, `file+${n}.bin`)
    await mkdir(dirname(path), { recursive: true })
    await writeFile(path, randomBytes(n % 400))
  }
  for (const size of ['all', 'tenth'] as const) {
    const file = await open(join(directory, `large-${size}`), 'w')
    for (let n = 0; n < megabytes[size]; n++) await file.write(randomBytes(1024 ** 2))
    await file.close()
  }
})
afterAll(() => rm(directory, { recursive: true, force: true }))

/** The path and hash of each file below a folder. */
async function contentOf(folder: string): Promise<Map<string, string>> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  const paths = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name))
  const hashed = await Promise.all(paths.map(async (path) => [path.slice(folder.length), await hashOf(path)] as const))
  return new Map(hashed.sort())
}

async function hashOf(path: string): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer)
  return hash.digest('hex')
}

describe.each(stores)('with the bytes in %s', (store) => {
  const s3 = s3World(store)
  const size = store === 'files' ? 'all' : 'tenth'
  const tree = () => join(directory, 'tree', size === 'all' ? '' : size)
  let own: string
  beforeAll(async () => {
    own = await mkdtemp(join(directory, 'own-'))
    const rclone = [
      '[q]',
      'type = s3',
      'provider = Other',
      `access_key_id = ${s3.key.accessKeyId}`,
      `secret_access_key = ${s3.key.secretAccessKey}`,
    ]
    await writeFile(join(own, 'rclone.conf'), [...rclone, `endpoint = ${s3.url}`, 'region = us-east-1', ''].join('\n'))
    const host = `127.0.0.1:${s3.port}`
    const s3cmd = [
      '[default]',
      `access_key = ${s3.key.accessKeyId}`,
      `secret_key = ${s3.key.secretAccessKey}`,
      `host_base = ${host}`,
      `host_bucket = ${host}`,
    ]
    await writeFile(join(own, 's3cfg'), [...s3cmd, 'use_https = False', 'bucket_location = us-east-1', ''].join('\n'))
  })
  const rclone = (...args: string[]) =>
    exec('rclone', ['--config', join(own, 'rclone.conf'), '--retries', '1', '--low-level-retries', '1', '--transfers', '8', ...args])
  const s3cmd = (...args: string[]) => exec('s3cmd', ['-c', join(own, 's3cfg'), '--no-progress', ...args])

  it('rclone syncs a tree of files both ways, finds no difference, and removes what is gone', async () => {
    const remote = `q:${s3.bucket.name}/rclone`
    await rclone('sync', tree(), remote)
    await rclone('check', '--download', tree(), remote)
    await rclone('sync', remote, join(own, 'back'))
    expect(await contentOf(join(own, 'back'))).toEqual(await contentOf(tree()))
    expect((await rclone('sync', '-v', tree(), remote)).stderr).not.toMatch(/Copied/)
    await rclone('move', `${remote}/${size === 'all' ? 'tenth/' : ''}folder 3`, `${remote}/moved`)
    expect((await rclone('lsf', '-R', '--files-only', remote)).stdout.trim().split('\n')).toHaveLength(files[size])
    await rclone('purge', remote)
    expect((await rclone('lsf', '-R', `q:${s3.bucket.name}`)).stdout).toBe('')
  })

  it('rclone and s3cmd store a large file in parts, and get it back', async () => {
    const large = join(directory, `large-${size}`)
    await rclone('copyto', '--s3-upload-cutoff', '10M', '--s3-chunk-size', '8M', large, `q:${s3.bucket.name}/large`)
    await rclone('copyto', `q:${s3.bucket.name}/large`, join(own, 'large'))
    expect(await hashOf(join(own, 'large'))).toBe(await hashOf(large))
    await s3cmd('put', '--multipart-chunk-size-mb=8', large, `s3://${s3.bucket.name}/large-s3cmd`)
    await s3cmd('get', '--force', `s3://${s3.bucket.name}/large-s3cmd`, join(own, 'large'))
    expect(await hashOf(join(own, 'large'))).toBe(await hashOf(large))
    expect(await usageOf(s3, s3.bucket)).toMatchObject({ bytes: 2 * megabytes[size] * 1024 ** 2, objects: 2, uploads: 0 })
    await s3cmd('del', `s3://${s3.bucket.name}/large`, `s3://${s3.bucket.name}/large-s3cmd`)
  })

  it('s3cmd syncs a tree both ways, lists, copies and deletes', async () => {
    const tree = join(directory, 'tree', 'tenth')
    const remote = `s3://${s3.bucket.name}/s3cmd/`
    await s3cmd('sync', `${tree}/`, remote)
    await s3cmd('sync', remote, `${join(own, 's3cmd')}/`)
    expect(await contentOf(join(own, 's3cmd'))).toEqual(await contentOf(tree))
    // Its own default is a region that is not the one of the installation.
    await expect(s3cmd('--bucket-location=US', 'mb', 's3://made-by-s3cmd')).rejects.toThrow('Storage keys cannot create buckets')
    expect((await s3cmd('ls')).stdout).toContain(`s3://${s3.bucket.name}`)
    const count = (await contentOf(tree)).size
    expect((await s3cmd('ls', '--recursive', remote)).stdout.trim().split('\n')).toHaveLength(count)
    expect((await s3cmd('info', `s3://${s3.bucket.name}`)).stdout).toMatch(/Location:\s+us-east-1/)
    await s3cmd('cp', '--recursive', remote, `s3://${s3.bucket.name}/copied/`)
    await s3cmd('del', '--recursive', '--force', remote)
    expect((await s3cmd('ls', '--recursive', `s3://${s3.bucket.name}`)).stdout.trim().split('\n')).toHaveLength(count)
  })

  it('curl uses presigned URLs', async () => {
    const request = {
      endpoint: s3.url,
      region: 'us-east-1',
      ...s3.key,
      bucket: s3.bucket.name,
      key: 'curl',
      expiresInSeconds: 60,
      now: new Date(),
    }
    const source = join(own, 's3cfg')
    const put = await presign({ ...request, method: 'PUT', contentType: 'text/plain' })
    await exec('curl', ['-sSf', '-T', source, '-H', 'Content-Type: text/plain', put.url])
    const got = await exec('curl', ['-sSf', '-D', '-', (await presign({ ...request, method: 'GET' })).url])
    expect(got.stdout).toMatch(/content-type: text\/plain/i)
    expect(got.stdout).toContain(await readFile(source, 'utf8'))
  })
})
