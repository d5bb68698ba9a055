/** Private repositories over ssh: a real ssh client and a server that checks signatures. */
import { generateKeyPairSync } from 'node:crypto'
import { readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import sshpk from 'sshpk'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { createRepository, type GitRepository } from '../support/git-repository.ts'
import { newHostKey, serveGitSsh } from '../support/git-ssh-server.ts'
import { createBench, type GitBench, pathWith, recordedIo, ref, refusal } from './git-support.ts'

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

const pairOf = (pem: string) => {
  const key = sshpk.parsePrivateKey(pem, 'pem')
  return { privateKey: key.toString('ssh-private'), publicKey: key.toPublic().toString('ssh').split(' ', 2).join(' ') }
}
const newPair = () => pairOf(generateKeyPairSync('ed25519').privateKey.export({ format: 'pem', type: 'pkcs8' }) as string)

async function serve(options: Parameters<typeof serveGitSsh>[0]) {
  const server = await serveGitSsh(options)
  bench.own(server)
  return { ...server, url: `ssh://git@127.0.0.1:${server.port}${repository.path}` }
}

const kinds = {
  Ed25519: () => generateKeyPairSync('ed25519').privateKey.export({ format: 'pem', type: 'pkcs8' }),
  ECDSA: () => generateKeyPairSync('ec', { namedCurve: 'P-384' }).privateKey.export({ format: 'pem', type: 'pkcs8' }),
  RSA: () => generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'pem', type: 'pkcs8' }),
}

it.each(Object.entries(kinds))('clones a private repository with a key of type %s', async (_kind, generate) => {
  const pair = pairOf(generate() as string)
  const { url, seen } = await serve({ authorized: [pair.publicKey] })
  const source = bench.source()
  const pinned = await source.pin({ repository: ref(url, null, pair.privateKey), ...main }, recordedIo())
  const directory = bench.target()
  await source.tree(ref(url, null, pair.privateKey), pinned)(directory, recordedIo())
  expect(await readFile(join(directory, 'index.js'), 'utf8')).toBe('one')
  expect(new Set(seen)).toEqual(new Set([pair.publicKey]))
})

it('fails with SOURCE_UNREACHABLE without a key and with another key, and says what to do', async () => {
  const { url, seen } = await serve({ authorized: [newPair().publicKey] })
  const source = bench.source()
  const without = await refusal(source.pin({ repository: ref(url), ...main }, recordedIo()))
  expect(without).toMatchObject({ code: 'SOURCE_UNREACHABLE', hint: expect.stringContaining('sshKeyId') })
  const wrong = await refusal(source.pin({ repository: ref(url, null, newPair().privateKey), ...main }, recordedIo()))
  expect(wrong).toMatchObject({
    code: 'SOURCE_UNREACHABLE',
    message: 'The remote requires credentials, or rejected the credentials it received.',
    hint: expect.stringContaining('Add the public key'),
  })
  expect(seen).toEqual([])
})

it('uses the key of the repository and not that of the installation', async () => {
  const [own, installation] = [newPair(), newPair()]
  const { url } = await serve({ authorized: [installation.publicKey] })
  const sshKeyFile = join(bench.folder, 'installation')
  await writeFile(sshKeyFile, installation.privateKey, { mode: 0o600 })
  const source = bench.source({ sshKeyFile })
  expect((await source.pin({ repository: ref(url), ...main }, recordedIo())).message).toBe('first')
  const error = await refusal(source.pin({ repository: ref(url, null, own.privateKey), ...main }, recordedIo()))
  expect(error.code).toBe('SOURCE_UNREACHABLE')
})

it('trusts the host key of the first connection, and refuses another one before it offers its key', async () => {
  const pair = newPair()
  const first = await serveGitSsh({ authorized: [pair.publicKey], hostKey: newHostKey() })
  const url = `ssh://git@127.0.0.1:${first.port}${repository.path}`
  const source = bench.source()
  const pin = () => source.pin({ repository: ref(url, null, pair.privateKey), ...main }, recordedIo())
  await pin()
  expect(await readFile(join(bench.workDir, 'known_hosts'), 'utf8')).toContain(`[127.0.0.1]:${first.port} ssh-ed25519 `)
  await first.close()
  const second = await serve({ authorized: [pair.publicKey], port: first.port })
  expect(await refusal(pin())).toMatchObject({
    code: 'SOURCE_UNREACHABLE',
    message: "The remote's ssh host key has changed.",
    hint: expect.stringContaining('git/known_hosts'),
  })
  expect(second.seen).toEqual([])
})

it('keeps the key in a file that only its own account can read, and only while git runs', async () => {
  const pair = newPair()
  const log = join(bench.folder, 'ssh.log')
  const script = `for a; do case "$a" in IdentityFile=*) f="\${a#IdentityFile=}"; stat -c '%a %n' "$f" >> ${log};; esac; done; real "$@"`
  const hostPath = await pathWith(bench.folder, 'ssh', script)
  const { url } = await serve({ authorized: [pair.publicKey] })
  const io = recordedIo()
  await bench.source({ hostPath }).pin({ repository: ref(url, null, pair.privateKey), ...main }, io)
  const lines = (await readFile(log, 'utf8')).trim().split('\n')
  expect(lines.length).toBeGreaterThan(0)
  for (const line of lines) {
    const [mode, path = ''] = line.split(' ')
    expect(mode).toBe('600')
    await expect(stat(path)).rejects.toMatchObject({ code: 'ENOENT' })
  }
  expect(await readdir(bench.workDir)).toEqual(['known_hosts'])
  expect(io.text()).not.toContain('PRIVATE KEY')
})

it('gives the key to a submodule on the same host and port only', async () => {
  const pair = newPair()
  const child = await createRepository({ c: '1' })
  bench.own(child)
  const here = await serve({ authorized: [pair.publicKey] })
  const there = await serve({ authorized: [pair.publicKey] })
  const withSubmodule = async (port: number) => {
    await repository.commit(
      { '.gitmodules': `[submodule "c"]\n\tpath = c\n\turl = ssh://git@127.0.0.1:${port}${child.path}\n` },
      'submodule',
    )
    const hash = (await child.git(['rev-parse', 'HEAD'])).trim()
    await repository.git(['update-index', '--add', '--cacheinfo', `160000,${hash},c`])
    await repository.git(['commit', '--quiet', '--message=link'])
  }
  const source = bench.source()
  const clone = async () => {
    const at = ref(here.url, null, pair.privateKey)
    const directory = bench.target()
    await source.tree(at, await source.pin({ repository: at, ...main }, recordedIo()))(directory, recordedIo())
    return directory
  }
  await withSubmodule(here.port)
  expect(await readFile(join(await clone(), 'c', 'c'), 'utf8')).toBe('1')
  await withSubmodule(there.port)
  expect((await refusal(clone())).code).toBe('SOURCE_UNREACHABLE')
  expect(there.seen).toEqual([])
})
