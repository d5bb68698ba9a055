/** The driver of servers over SSH: against a real OpenSSH server, and against hosts that behave badly. */
import { execFileSync, spawnSync } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { Inspection, SshTarget } from '../../src/domain/apps/server/ports.ts'
import { factsScript, parseFacts } from '../../src/drivers/ssh/facts.ts'
import { createSsh } from '../../src/drivers/ssh/index.ts'
import { createEgressGuard } from '../../src/platform/egress.ts'
import { newHostKey } from '../support/git-ssh-server.ts'
import { type SshHostOptions, startSshHost, startTalker } from '../support/ssh-host.ts'
import { newKeyPair, type Sshd, sshdMissing, startSshd } from '../support/sshd.ts'

const allow = ['127.0.0.0/8', '::1/128']
/** Nothing on loopback takes so long, except a host that hangs. */
const long = { connection: 60_000, handshake: 60_000, login: 60_000, command: 60_000 }
const patient = createSsh({ guard: createEgressGuard({ allow }), timeoutsMs: long })
const noAbort = new AbortController().signal

const hosts: { close(): Promise<void> }[] = []
afterEach(async () => {
  for (const host of hosts.splice(0)) await host.close()
})
const own = async <Host extends { close(): Promise<void> }>(starting: Promise<Host>): Promise<Host> => {
  const host = await starting
  hosts.push(host)
  return host
}

type Place = { host: string; port: number }
const targetOf = ({ host, port }: Place, more: Partial<SshTarget> = {}): SshTarget => ({
  ...{ host, port, user: 'deploy', credential: { password: 'correct horse' }, hostKey: null },
  ...more,
})

const inspect = (place: Place, more: Partial<SshTarget> = {}, ssh = patient): Promise<Inspection> =>
  ssh.inspect(targetOf(place, more), noAbort)

/** Runs the script as a real machine does. */
const answer = (script: string) => ({ output: execFileSync('sh', { input: script, encoding: 'utf8' }) })

const fingerprint = expect.stringMatching(/^SHA256:[A-Za-z0-9+/]{43}$/)

describe.skipIf(sshdMissing)(sshdMissing ?? 'a real OpenSSH server', () => {
  const pair = newKeyPair()
  let sshd: Sshd
  beforeAll(async () => {
    sshd = await startSshd({ authorized: [pair.publicKey] })
  })
  afterAll(() => sshd?.close())

  const login = (privateKey = pair.privateKey) => ({ user: sshd.user, credential: { privateKey } })

  it('shows its host key as ssh-keygen prints it, and the facts of this machine', async () => {
    const { hostKey, facts, failure } = await inspect(sshd, login())
    expect(failure).toBeNull()
    expect(hostKey).toEqual({ type: 'ssh-ed25519', fingerprint: sshd.fingerprint })
    expect(facts).toEqual({
      cpuCores: expect.any(Number),
      ramTotalBytes: expect.any(Number),
      diskTotalBytes: expect.any(Number),
      diskFreeBytes: expect.any(Number),
      osName: expect.stringMatching(/\w/),
      osVersion: expect.toSatisfy((version) => version === null || /\w/.test(version)),
      kernel: execFileSync('uname', ['-sr'], { encoding: 'utf8' }).trim(),
      architecture: execFileSync('uname', ['-m'], { encoding: 'utf8' }).trim(),
    })
    expect(facts!.ramTotalBytes).toBeGreaterThan(2 ** 20)
    expect(facts!.diskTotalBytes).toBeGreaterThan(facts!.diskFreeBytes!)
  })

  it('refuses another key, and says so', async () => {
    const { hostKey, failure } = await inspect(sshd, login(newKeyPair().privateKey))
    expect(failure).toEqual({ code: 'LOGIN_REFUSED', message: `The server refused the key of ${sshd.user}.` })
    // The login failed, but the host has proved its key, which can be pinned.
    expect(hostKey?.fingerprint).toBe(sshd.fingerprint)
  })

  it('does not get a password, and says which methods it accepts', async () => {
    const { failure } = await inspect(sshd, { user: sshd.user })
    expect(failure).toEqual({ code: 'LOGIN_REFUSED', message: `The server accepts no password for ${sshd.user}. It accepts publickey.` })
  })

  it('sees no login attempt when its host key is not the pinned one', async () => {
    const pinned = { type: 'ssh-ed25519', fingerprint: `SHA256:${'A'.repeat(43)}` }
    const before = sshd.log()
    const { hostKey, failure } = await inspect(sshd, { ...login(), hostKey: pinned })
    expect(failure?.code).toBe('HOST_KEY_CHANGED')
    expect(failure?.message).toContain(pinned.fingerprint)
    expect(failure?.message).toContain(sshd.fingerprint)
    expect(hostKey?.fingerprint).toBe(sshd.fingerprint)
    expect(sshd.log().slice(before.length)).not.toMatch(/publickey|Accepted|Failed/)
  })
})

describe('a password', () => {
  it('is accepted directly, and by keyboard-interactive authentication where the server asks so', async () => {
    const direct = await own(startSshHost({ answer }))
    expect(await inspect(direct)).toMatchObject({ failure: null, facts: { architecture: expect.any(String) } })
    const asking = await own(startSshHost({ answer, prompts: [{ prompt: 'Password: ', echo: false }] }))
    expect(await inspect(asking)).toMatchObject({ failure: null })
    expect(asking.methods).toEqual(['password', 'keyboard-interactive'])
  })

  it('that is wrong is sent once', async () => {
    const host = await own(startSshHost({ password: 'another', methods: ['publickey', 'password', 'keyboard-interactive'] }))
    expect((await inspect(host)).failure).toEqual({ code: 'LOGIN_REFUSED', message: 'The server refused the password of deploy.' })
    expect(host.passwords).toEqual(['correct horse'])
  })

  it('is not given as the answer to a question that is shown, nor to several', async () => {
    const questions = [
      [{ prompt: 'Name: ', echo: true }],
      [
        { prompt: 'Password: ', echo: false },
        { prompt: 'Code: ', echo: false },
      ],
    ]
    for (const prompts of questions) {
      const host = await own(startSshHost({ prompts }))
      expect((await inspect(host)).failure?.code).toBe('LOGIN_REFUSED')
      expect(host.passwords.slice(1)).toEqual([])
    }
  })
})

describe('the host key', () => {
  it('that has changed stops the connection before anything is sent, and names both fingerprints', async () => {
    const host = await own(startSshHost({ answer }))
    const pinned = { type: 'ssh-ed25519', fingerprint: `SHA256:${'A'.repeat(43)}` }
    const { hostKey, failure } = await inspect(host, { hostKey: pinned })
    expect(hostKey).toEqual({ type: 'ssh-ed25519', fingerprint })
    expect(failure?.message).toContain(`It has ${hostKey!.fingerprint} (ssh-ed25519), and ${pinned.fingerprint} (ssh-ed25519) is pinned.`)
    expect(host.methods).toEqual([])
  })

  it('is still found when the host has got another one of a preferred type', async () => {
    const pem = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'pem', type: 'sec1' }) as string
    const older = await own(startSshHost({ answer, hostKeys: [pem] }))
    const { hostKey } = await inspect(older)
    expect(hostKey?.type).toBe('ecdsa-sha2-nistp256')
    const newer = await own(startSshHost({ answer, hostKeys: [newHostKey(), pem] }))
    expect(await inspect(newer, { hostKey })).toMatchObject({ failure: null, hostKey })
    expect((await inspect(newer)).hostKey?.type).toBe('ssh-ed25519')
  })
})

describe('a host that misbehaves', () => {
  const hanging: [NonNullable<SshHostOptions['hangsAt']>, string][] = [
    ['handshake', 'did not complete the SSH handshake within 0.1 s.'],
    ['login', 'did not answer the login within 0.1 s.'],
    ['command', 'did not run the command that reads its facts within 0.1 s.'],
  ]
  it.each(hanging)('and hangs at the %s fails with TIMEOUT', async (hangsAt, text) => {
    const host = await own(startSshHost({ hangsAt }))
    const ssh = createSsh({ guard: createEgressGuard({ allow }), timeoutsMs: { ...long, [hangsAt]: 100 } })
    expect((await inspect(host, {}, ssh)).failure).toEqual({ code: 'TIMEOUT', message: `127.0.0.1 ${text}` })
  })

  it('and is no SSH server, sends garbage, or too much of it, fails with NOT_SSH', async () => {
    const packet = Buffer.concat([Buffer.from('SSH-2.0-x\r\n'), Buffer.alloc(64, 0xff)])
    for (const bytes of ['HTTP/1.1 400 Bad Request\r\n\r\n'.repeat(2_000), packet, Buffer.alloc(300_000, 'banner\n')]) {
      const talker = await own(startTalker(bytes))
      expect((await inspect(talker)).failure).toEqual({
        code: 'NOT_SSH',
        message: 'What listens at this port of 127.0.0.1 is not an SSH server. Check the port.',
      })
    }
  })

  it('and closes the connection at once fails with UNREACHABLE', async () => {
    const talker = await own(startTalker('', { closes: true }))
    expect((await inspect(talker)).failure).toEqual({
      code: 'UNREACHABLE',
      message: '127.0.0.1 closed the connection before the SSH handshake was complete.',
    })
  })

  it('and is not there, has no name, or a private address, fails with the reason', async () => {
    const gone = await startTalker('')
    await gone.close()
    expect((await inspect(gone)).failure).toMatchObject({ code: 'CONNECTION_REFUSED' })
    expect((await inspect({ host: 'no-such-host.invalid', port: 22 })).failure).toMatchObject({ code: 'NAME_UNKNOWN' })
    expect((await inspect({ host: '10.0.0.1', port: 22 })).failure).toEqual({
      code: 'BLOCKED',
      message: expect.stringContaining('EGRESS_ALLOW'),
    })
  })

  it('and whose name is not resolved in time fails with TIMEOUT', async () => {
    const guard = createEgressGuard({ allow, lookup: () => new Promise(() => {}) })
    const ssh = createSsh({ guard, timeoutsMs: { ...long, connection: 50 } })
    const text = 'rack.example.com did not accept a connection at port 22 in time. Check the address and the firewalls.'
    expect((await inspect({ host: 'rack.example.com', port: 22 }, {}, ssh)).failure).toEqual({ code: 'TIMEOUT', message: text })
  })

  it('at one of its addresses is reached at another', async () => {
    const { port } = await own(startSshHost({ answer }))
    const lookup = async () => ['127.0.0.2', '127.0.0.1'].map((address) => ({ address, family: 4 }))
    const ssh = createSsh({ guard: createEgressGuard({ allow, lookup }), timeoutsMs: long })
    expect(await inspect({ host: 'rack.example.com', port }, {}, ssh)).toMatchObject({ failure: null })
  })

  it('and whose account has no shell fails with NO_SHELL', async () => {
    const answers: SshHostOptions['answer'][] = [
      null,
      () => ({ output: 'This account is currently not available.\n', code: 1 }),
      () => ({ output: '', code: 127 }),
    ]
    for (const answer of answers) {
      const host = await own(startSshHost({ answer }))
      expect((await inspect(host)).failure).toMatchObject({ code: 'NO_SHELL' })
    }
  })

  it('and prints without end is read to the limit only', async () => {
    const host = await own(startSshHost({ answer: () => ({ output: 'x'.repeat(5_000_000) }) }))
    expect((await inspect(host)).failure).toMatchObject({ code: 'NO_SHELL' })
  })

  it('does not outlive the caller', async () => {
    const host = await own(startSshHost({ hangsAt: 'login' }))
    const ending = new AbortController()
    const inspected = patient.inspect(targetOf(host), ending.signal)
    while (host.methods.length === 0) await new Promise((resolve) => setTimeout(resolve, 5))
    ending.abort(new Error('enough'))
    await expect(inspected).rejects.toThrow('enough')
    await expect(patient.inspect(targetOf(host), ending.signal)).rejects.toThrow('enough')
    expect(host.connections()).toBe(1)
  })
})

describe('the facts', () => {
  const wrap = (lines: string) => `Welcome!\ncpus=99\n\nm-begin\n${lines}\nm-end\n`
  const nothing = {
    ...{ cpuCores: null, ramTotalBytes: null, diskTotalBytes: null, diskFreeBytes: null },
    ...{ osName: null, osVersion: null, kernel: null, architecture: null },
  }

  it('are those between the marks, whatever a banner prints', () => {
    expect(parseFacts(wrap('cpus=4\nmemory=MemTotal:  2048 kB\ndisk=/dev/a 100 60 40 60% /'), 'm')).toEqual({
      ...nothing,
      ...{ cpuCores: 4, ramTotalBytes: 2_097_152, diskTotalBytes: 102_400, diskFreeBytes: 40_960 },
    })
    expect(parseFacts('cpus=4\n', 'm')).toBeNull()
    expect(parseFacts('\nm-begin\ncpus=4\n', 'm')).toBeNull()
  })

  it('are unknown where a tool is missing or prints something else', () => {
    expect(parseFacts(wrap(''), 'm')).toEqual(nothing)
    const odd = 'cpus=-3\nmemory=lots\ndisk=df: not found\nkernel=\nmachine=\u001b[31m\nNAME="\nVERSION_ID=99999999999999999999x'
    expect(parseFacts(wrap(odd), 'm')).toMatchObject({ cpuCores: null, ramTotalBytes: null, diskTotalBytes: null, kernel: null })
    expect(parseFacts(wrap('cpus=99999999999999999999\nmemory=9007199254740993'), 'm')).toEqual(nothing)
  })

  it('are read on systems without /proc too, and texts are cut and printable', () => {
    const facts = parseFacts(wrap(`kernel=FreeBSD 14.1\nmachine=${'x'.repeat(500)}\ncpus=8\nmemory=17179869184`), 'm')
    expect(facts).toMatchObject({ osName: 'FreeBSD', kernel: 'FreeBSD 14.1', architecture: 'x'.repeat(100), ramTotalBytes: 2 ** 34 })
    expect(parseFacts(wrap('NAME="De\u0007bian"\nVERSION_ID=12'), 'm')).toMatchObject({ osName: 'Debian', osVersion: '12' })
  })

  const shells = [['sh'], ['bash'], ['busybox', 'sh']].filter(([program]) => spawnSync(program!, ['-c', 'true']).error === undefined)
  it.each(shells)('are read by %s %s', (program, ...words) => {
    const output = execFileSync(program!, words, { input: factsScript('m'), encoding: 'utf8' })
    expect(parseFacts(output, 'm')).toMatchObject({ cpuCores: expect.any(Number), ramTotalBytes: expect.any(Number) })
  })
})
