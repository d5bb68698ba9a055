import { spawnSync } from 'node:child_process'
import { readdir, readFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createEgressGuard } from '../../src/platform/egress.ts'
import { serveGit } from '../support/git-http-server.ts'
import { createRepository, type GitRepository } from '../support/git-repository.ts'
import { createBench, type GitBench, pathWith, recordedIo, ref, refusal } from './git-support.ts'

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

describe('over http', () => {
  it('pins a branch, a tag and a hash, and writes the tree', async () => {
    const { repositoryUrl } = await bench.serve(repository)
    await repository.git(['tag', '--annotate', '--message=release', 'v1'])
    const first = (await repository.git(['rev-parse', 'HEAD'])).trim()
    await repository.commit({ 'index.js': 'two' }, 'second')
    const source = bench.source()
    const pinned = await source.pin({ repository: ref(repositoryUrl), ...main }, recordedIo())
    expect(pinned.message).toBe('second')
    expect((await source.pin({ repository: ref(repositoryUrl), branch: 'main', commit: 'v1' }, recordedIo())).hash).toBe(first)
    expect((await source.pin({ repository: ref(repositoryUrl), branch: 'main', commit: first }, recordedIo())).hash).toBe(first)
    expect((await source.pin({ repository: ref(repositoryUrl), branch: 'main', commit: first.slice(0, 8) }, recordedIo())).hash).toBe(first)
    const directory = bench.target()
    await source.tree(ref(repositoryUrl), pinned)(directory, recordedIo())
    expect(await readFile(join(directory, 'index.js'), 'utf8')).toBe('two')
  })

  it('finds a hash in the branch if the server does not serve commits by hash', async () => {
    const first = (await repository.git(['rev-parse', 'HEAD'])).trim()
    for (let at = 0; at < 55; at += 1) await repository.git(['commit', '--quiet', '--allow-empty', `--message=${at}`])
    const { repositoryUrl } = await bench.serve(repository, { isOldProtocol: true })
    const source = bench.source()
    const pinned = await source.pin({ repository: ref(repositoryUrl), branch: 'main', commit: first }, recordedIo())
    expect(pinned).toEqual({ hash: first, message: 'first', author: 'Ada', branch: 'main' })
    const directory = bench.target()
    await source.tree(ref(repositoryUrl), pinned)(directory, recordedIo())
    expect(await readFile(join(directory, 'index.js'), 'utf8')).toBe('one')
    const unknown = source.pin({ repository: ref(repositoryUrl), branch: 'main', commit: 'd'.repeat(40) }, recordedIo())
    expect(await refusal(unknown)).toMatchObject({ code: 'COMMIT_NOT_FOUND' })
    const elsewhere = source.pin({ repository: ref(repositoryUrl), branch: 'nope', commit: 'd'.repeat(40) }, recordedIo())
    expect(await refusal(elsewhere)).toMatchObject({ code: 'COMMIT_NOT_FOUND', message: expect.stringContaining('nope') })
  })

  it('fails with COMMIT_NOT_FOUND for an unknown branch and REPOSITORY_MISSING for an unknown repository', async () => {
    const { url, repositoryUrl } = await bench.serve(repository)
    const source = bench.source()
    const noBranch = source.pin({ repository: ref(repositoryUrl), branch: 'nope', commit: null }, recordedIo())
    expect(await refusal(noBranch)).toMatchObject({ code: 'COMMIT_NOT_FOUND', message: 'There is no branch nope.' })
    const noRepository = source.pin({ repository: ref(`${url}/nothing.git`), ...main }, recordedIo())
    expect(await refusal(noRepository)).toMatchObject({ code: 'REPOSITORY_MISSING' })
  })

  it('fails with SOURCE_UNREACHABLE and the port if nothing listens there', async () => {
    const server = await serveGit({ root: bench.folder })
    await server.close()
    const error = await refusal(bench.source().pin({ repository: ref(`${server.url}/a.git`), ...main }, recordedIo()))
    expect(error).toMatchObject({
      code: 'SOURCE_UNREACHABLE',
      message: `127.0.0.1 cannot be reached at port ${server.port}: connection refused.`,
    })
  })

  it('explains what a server of plain files lacks', async () => {
    await repository.git(['update-server-info'])
    const { repositoryUrl } = await bench.serve(repository, {
      intercept(request, response) {
        const path = new URL(request.url ?? '/', 'http://localhost').pathname
        readFile(join(dirname(repository.path), path)).then(
          (bytes) => response.end(bytes),
          () => response.writeHead(404).end(),
        )
        return true
      },
    })
    const error = await refusal(bench.source().pin({ repository: ref(repositoryUrl), ...main }, recordedIo()))
    expect(error).toMatchObject({
      code: 'SOURCE_UNREACHABLE',
      message: expect.stringContaining('dumb HTTP'),
      hint: expect.stringContaining('git http-backend'),
    })
  })

  it('does not follow redirects', async () => {
    const target = await bench.serve(repository)
    const { repositoryUrl } = await bench.serve(repository, {
      intercept(request, response) {
        response.writeHead(302, { Location: `${target.url}${request.url}` }).end()
        return true
      },
    })
    const error = await refusal(bench.source().pin({ repository: ref(repositoryUrl), ...main }, recordedIo()))
    expect(error).toMatchObject({ code: 'SOURCE_UNREACHABLE', message: expect.stringContaining('redirect') })
  })

  it('rejects an address that EGRESS_ALLOW does not include, without a connection', async () => {
    let requests = 0
    const { repositoryUrl } = await bench.serve(repository, { intercept: () => ++requests < 0 })
    const source = bench.source({ guard: createEgressGuard({ allow: [] }) })
    const error = await refusal(source.pin({ repository: ref(repositoryUrl), ...main }, recordedIo()))
    expect(error).toMatchObject({ code: 'SOURCE_REJECTED', message: expect.stringContaining('EGRESS_ALLOW') })
    expect(requests).toBe(0)
  })

  it('rejects plain http to a public address', async () => {
    const guard = createEgressGuard({ allow: [], lookup: async () => [{ address: '93.184.216.34', family: 4 }] })
    const error = await refusal(bench.source({ guard }).pin({ repository: ref('http://example.com/a.git'), ...main }, recordedIo()))
    expect(error).toMatchObject({ code: 'SOURCE_REJECTED', message: expect.stringContaining('EGRESS_ALLOW') })
  })

  it('fails with SOURCE_UNREACHABLE for an unknown host name', async () => {
    const guard = createEgressGuard({ allow: [], lookup: () => Promise.reject(new Error('ENOTFOUND')) })
    const error = await refusal(bench.source({ guard }).pin({ repository: ref('https://no.example/a.git'), ...main }, recordedIo()))
    expect(error).toMatchObject({ code: 'SOURCE_UNREACHABLE', message: expect.stringContaining('no.example') })
  })

  it('connects to the address that was checked, even if the name resolves to another one later', async () => {
    const { port, repositoryUrl } = await bench.serve(repository)
    let lookups = 0
    const lookup = async () => {
      lookups += 1
      return [{ address: '127.0.0.1', family: 4 }]
    }
    const source = bench.source({ guard: createEgressGuard({ allow: ['127.0.0.0/8'], lookup }) })
    // No DNS server knows this name, so only the pinned address can lead git to the server.
    const url = repositoryUrl.replace('127.0.0.1', 'pinned.invalid')
    expect(url).toContain(`pinned.invalid:${port}`)
    expect((await source.pin({ repository: ref(url), ...main }, recordedIo())).message).toBe('first')
    expect(lookups).toBe(1)
  })

  it('sends the credential for a submodule over http only if it has the same origin', async () => {
    const child = await createRepository({ c: '1' })
    bench.own(child)
    const hash = (await child.git(['rev-parse', 'HEAD'])).trim()
    const { repositoryUrl } = await bench.serve(repository, { credential })
    const addSubmodule = async (url: string) => {
      await repository.commit({ '.gitmodules': `[submodule "c"]\n\tpath = c\n\turl = ${url}\n` }, 'modules')
      await repository.git(['update-index', '--add', '--cacheinfo', `160000,${hash},c`])
      await repository.git(['commit', '--quiet', '--message=link'])
    }
    const write = async (directory: string) => {
      const source = bench.source()
      const commit = await source.pin({ repository: ref(repositoryUrl, credential), ...main }, recordedIo())
      await source.tree(ref(repositoryUrl, credential), commit)(directory, recordedIo())
    }
    await addSubmodule(`../../${child.path.split('/').at(-1)}/.git`)
    const directory = bench.target()
    await write(directory)
    expect(await readFile(join(directory, 'c/c'), 'utf8')).toBe('1')

    const seen: (string | undefined)[] = []
    const other = await bench.serve(repository, { intercept: (request) => seen.push(request.headers.authorization) < 0, credential })
    await addSubmodule(`${other.url}/${child.path.split('/').at(-1)}/.git`)
    expect(await refusal(write(bench.target()))).toMatchObject({ code: 'SOURCE_UNREACHABLE' })
    expect(new Set(seen)).toEqual(new Set([undefined]))
  })

  it('rejects a file: submodule of a remote repository', async () => {
    const hash = (await repository.git(['rev-parse', 'HEAD'])).trim()
    await repository.commit({ '.gitmodules': `[submodule "c"]\n\tpath = c\n\turl = ${repository.url}\n` }, 'modules')
    await repository.git(['update-index', '--add', '--cacheinfo', `160000,${hash},c`])
    await repository.git(['commit', '--quiet', '--message=link'])
    const { repositoryUrl } = await bench.serve(repository)
    const source = bench.source()
    const commit = await source.pin({ repository: ref(repositoryUrl), ...main }, recordedIo())
    const error = await refusal(source.tree(ref(repositoryUrl), commit)(bench.target(), recordedIo()))
    expect(error).toMatchObject({ code: 'SOURCE_REJECTED', message: expect.stringContaining('file: submodule') })
  })
})

describe('over https', () => {
  const makeCertificate = async () => {
    const [key, cert] = [join(bench.folder, 'key.pem'), join(bench.folder, 'cert.pem')]
    const subject = ['-subj', '/CN=git.invalid', '-addext', 'subjectAltName=DNS:git.invalid']
    const args = [
      'req',
      '-x509',
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:prime256v1',
      '-nodes',
      '-days',
      '2',
      '-keyout',
      key,
      '-out',
      cert,
    ]
    expect(spawnSync('openssl', [...args, ...subject]).status).toBe(0)
    return { caFile: cert, tls: { key: await readFile(key, 'utf8'), cert: await readFile(cert, 'utf8') } }
  }

  it('verifies the certificate against the host name while it connects to the checked address', async () => {
    const { caFile, tls } = await makeCertificate()
    const { repositoryUrl } = await bench.serve(repository, { tls })
    const guard = createEgressGuard({ allow: ['127.0.0.0/8'], lookup: async () => [{ address: '127.0.0.1', family: 4 }] })
    const pin = (host: string, options = {}) =>
      bench.source({ guard, ...options }).pin({ repository: ref(repositoryUrl.replace('127.0.0.1', host)), ...main }, recordedIo())
    expect((await pin('git.invalid', { caFile })).message).toBe('first')
    expect(await refusal(pin('other.invalid', { caFile }))).toMatchObject({
      code: 'SOURCE_UNREACHABLE',
      message: expect.stringContaining('TLS'),
    })
    expect(await refusal(pin('git.invalid'))).toMatchObject({ code: 'SOURCE_UNREACHABLE', message: expect.stringContaining('TLS') })
  })
})

describe('over ssh', () => {
  /** Replaces ssh: records its arguments and runs the remote command locally, as sshd does. */
  const fakeSsh = (script: string) => pathWith(bench.folder, 'ssh', script)

  const listen = async () => {
    const server = createServer((socket) => socket.destroy())
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    bench.own({ close: () => new Promise((resolve) => server.close(() => resolve())) })
    return (server.address() as { port: number }).port
  }

  it('runs ssh with the checked address, its own known_hosts, and no key or agent of the host', async () => {
    const log = join(bench.folder, 'ssh.log')
    const hostPath = await fakeSsh(`printf '%s\\n' "$@" > ${log}; for last; do :; done; exec sh -c "$last"`)
    const guard = createEgressGuard({ allow: ['127.0.0.0/8'], lookup: async () => [{ address: '127.0.0.1', family: 4 }] })
    const port = await listen()
    const source = bench.source({ hostPath, guard })
    const url = `ssh://git@code.invalid:${port}${repository.path}`
    const pinned = await source.pin({ repository: ref(url), ...main }, recordedIo())
    const directory = bench.target()
    await source.tree(ref(url), pinned)(directory, recordedIo())
    expect(await readdir(directory)).toEqual(['index.js'])
    const args = (await readFile(log, 'utf8')).split('\n')
    expect(args).toEqual(
      expect.arrayContaining([
        ...['BatchMode=yes', 'HostName=127.0.0.1', `HostKeyAlias=[code.invalid]:${port}`, 'StrictHostKeyChecking=accept-new'],
        ...[`UserKnownHostsFile=${join(bench.workDir, 'known_hosts')}`, 'IdentityFile=none', 'IdentityAgent=none', 'git@code.invalid'],
      ]),
    )
  })

  it('passes the configured key file to ssh', async () => {
    const log = join(bench.folder, 'ssh.log')
    const hostPath = await fakeSsh(`printf '%s\\n' "$@" > ${log}; echo 'git@h: Permission denied (publickey).' >&2; exit 255`)
    const source = bench.source({ hostPath, sshKeyFile: '/keys/deploy key' })
    const error = await refusal(source.pin({ repository: ref(`ssh://git@127.0.0.1:${await listen()}/a`), ...main }, recordedIo()))
    expect(error).toMatchObject({ code: 'SOURCE_UNREACHABLE', hint: expect.stringContaining('deploy key') })
    expect((await readFile(log, 'utf8')).split('\n')).toContain('IdentityFile="/keys/deploy key"')
  })
})
