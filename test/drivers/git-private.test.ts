import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createRepository, type GitRepository } from '../support/git-repository.ts'
import { createBench, type GitBench, recordedIo, ref, refusal } from './git-support.ts'

const credential = { username: 'ada', password: 'tok-3f9a2c77e1' }

let bench: GitBench
let repository: GitRepository

beforeEach(async () => {
  bench = await createBench()
  repository = await createRepository({ 'index.js': 'one' })
  bench.own(repository)
})

afterEach(async () => {
  await bench.close()
})

const main = { branch: 'main', commit: null }

describe('a private repository', () => {
  it('is read with the credential', async () => {
    const { repositoryUrl } = await bench.serve(repository, { credential })
    const pinned = await bench.source().pin({ repository: ref(repositoryUrl, credential), ...main }, recordedIo())
    expect(pinned.message).toBe('first')
  })

  it('is read with a token as the user name', async () => {
    const token = { username: 'tok-99f1', password: '' }
    const { repositoryUrl } = await bench.serve(repository, { credential: token })
    expect((await bench.source().pin({ repository: ref(repositoryUrl, token), ...main }, recordedIo())).message).toBe('first')
  })

  it('fails with SOURCE_UNREACHABLE without a credential or with a wrong one, and explains how to set a token', async () => {
    const { repositoryUrl } = await bench.serve(repository, { credential })
    const source = bench.source()
    const without = await refusal(source.pin({ repository: ref(repositoryUrl), ...main }, recordedIo()))
    expect(without).toMatchObject({ code: 'SOURCE_UNREACHABLE', hint: expect.stringContaining('https://user:token@host/path') })
    const io = recordedIo()
    const wrong = { username: 'ada', password: 'wrong-8812' }
    const refused = await refusal(source.pin({ repository: ref(repositoryUrl, wrong), ...main }, io))
    expect(refused).toMatchObject({ code: 'SOURCE_UNREACHABLE', hint: expect.stringContaining('token') })
    expect(io.text() + refused.message + refused.hint).not.toContain('wrong-8812')
  })

  it('rejects a credential that contains a line break', async () => {
    const { repositoryUrl } = await bench.serve(repository, { credential })
    const bad = { username: 'ada', password: 'a\nb' }
    expect(await refusal(bench.source().pin({ repository: ref(repositoryUrl, bad), ...main }, recordedIo()))).toMatchObject({
      code: 'SOURCE_REJECTED',
    })
  })

  it('never exposes the credential in an argument, file, log or tree', async () => {
    const seen: string[] = []
    const encoded = Buffer.from(`${credential.username}:${credential.password}`).toString('base64')
    const holdsSecret = (text: string) => text.includes(credential.password) || text.includes(encoded)
    const { repositoryUrl } = await bench.serve(repository, {
      credential,
      intercept() {
        // The driver's processes are waiting for this response, so all of them can be inspected.
        const script = `cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' '; grep -rc '' '${bench.workDir}'; grep -rhs '' '${bench.workDir}'`
        seen.push(spawnSync('/bin/sh', ['-c', script], { encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 }).stdout)
        return false
      },
    })
    const io = recordedIo()
    const source = bench.source()
    const commit = await source.pin({ repository: ref(repositoryUrl, credential), ...main }, io)
    const directory = bench.target()
    await source.tree(ref(repositoryUrl, credential), commit)(directory, io)
    expect(seen.length).toBeGreaterThan(2)
    expect(seen.every((text) => text.includes('ls-remote') || text.includes('fetch'))).toBe(true)
    expect(seen.every((text) => text.includes('repository.git'))).toBe(true)
    expect(seen.filter(holdsSecret)).toEqual([])
    expect(holdsSecret(io.text())).toBe(false)
    expect(await readdir(directory)).toEqual(['index.js'])
  })

  it('redacts the credential in messages of the remote', async () => {
    const encoded = Buffer.from(`${credential.username}:${credential.password}`).toString('base64')
    const { repositoryUrl } = await bench.serve(repository, {
      intercept(request, response) {
        if (request.headers.authorization === undefined) response.writeHead(401, { 'WWW-Authenticate': 'Basic realm="git"' }).end()
        else response.writeHead(403, { 'Content-Type': 'text/plain' }).end(`no: ${credential.password} ${encoded}\nother line\n`)
        return true
      },
    })
    const io = recordedIo()
    const error = await refusal(bench.source().pin({ repository: ref(repositoryUrl, credential), ...main }, io))
    expect(io.text()).toContain('remote: no: [redacted] [redacted]')
    expect(error.code).toBe('SOURCE_UNREACHABLE')
  })
})

describe('LFS over http', () => {
  const content = 'a large thing'
  const oid = createHash('sha256').update(content).digest('hex')
  const pointer = `version https://git-lfs.github.com/spec/v1\noid sha256:${oid}\nsize ${content.length}\n`

  /** A repository with one LFS file, whose server offers the object at `href`. */
  async function serveLfs(href: (url: string) => string, body = content) {
    await repository.commit({ '.gitattributes': '*.bin filter=lfs -text\n', 'a.bin': pointer }, 'lfs')
    const seen: Record<string, string | undefined> = {}
    let base = ''
    const server = await bench.serve(repository, {
      credential,
      intercept(request, response) {
        const path = request.url ?? ''
        if (path.endsWith('/info/lfs/objects/batch')) {
          seen.batch = request.headers.authorization
          const object = { oid, size: content.length, actions: { download: { href: href(base), header: { 'X-Key': 'k1' } } } }
          response
            .writeHead(200, { 'Content-Type': 'application/vnd.git-lfs+json' })
            .end(JSON.stringify({ transfer: 'basic', objects: [object] }))
          return true
        }
        if (path !== '/object') return false
        seen.object = String(request.headers['x-key'])
        response.writeHead(200).end(body)
        return true
      },
    })
    base = server.url
    const directory = bench.target()
    const source = bench.source()
    const write = async () => {
      const commit = await source.pin({ repository: ref(server.repositoryUrl, credential), ...main }, recordedIo())
      await source.tree(ref(server.repositoryUrl, credential), commit)(directory, recordedIo())
    }
    return { write, directory, seen }
  }

  it('fetches the object from the URL that the server returns, and sends the credential only to the server itself', async () => {
    const { write, directory, seen } = await serveLfs((url) => `${url}/object`)
    await write()
    expect(await readFile(join(directory, 'a.bin'), 'utf8')).toBe(content)
    expect(seen.batch).toBe(`Basic ${Buffer.from(`${credential.username}:${credential.password}`).toString('base64')}`)
    expect(seen.object).toBe('k1')
  })

  it.each(['http://10.0.0.1/object', 'http://169.254.169.254/latest/meta-data', 'file:///etc/passwd', 'nonsense'])(
    'rejects an object at %s',
    async (href) => {
      const { write } = await serveLfs(() => href)
      expect(await refusal(write())).toMatchObject({ code: 'SOURCE_REJECTED' })
    },
  )

  it('rejects an object with different content', async () => {
    const { write, directory } = await serveLfs((url) => `${url}/object`, 'another thing')
    expect(await refusal(write())).toMatchObject({
      code: 'SOURCE_REJECTED',
      message: expect.stringContaining('does not match its pointer'),
    })
    expect(await readdir(directory)).toEqual([])
  })

  it('fails with SOURCE_UNREACHABLE if the server does not have the object', async () => {
    const { write } = await serveLfs((url) => `${url}/nothing`)
    expect(await refusal(write())).toMatchObject({ code: 'SOURCE_UNREACHABLE' })
  })
})
