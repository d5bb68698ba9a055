import { execFileSync, spawn } from 'node:child_process'
import { copyFile, mkdir, mkdtemp, open, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { rootCertificates } from 'node:tls'
import { describe, expect, it } from 'vitest'
import type { BuildRequest, BuiltRelease } from '../../src/domain/deploys/instance/ports.ts'
import { readToolchain } from '../../src/drivers/process/toolchain.ts'
import { inChildCommand, inOwnMounts, openChild } from './process-peer.ts'
import {
  buildRequest,
  exists,
  fileSource,
  hostPath,
  modes,
  openRuntime,
  outputOf,
  quiet,
  recording,
  startCommand,
  startRequest,
  uniqueSleep,
  until,
} from './process-support.ts'

type Opened = Awaited<ReturnType<typeof openRuntime>>

/** Runs an untrusted script and returns its output. */
const strangers: { name: string; run: (opened: Opened, script: string, env?: Record<string, string>) => Promise<string> }[] = [
  { name: 'an instance', run: ({ runtime }, script, env = {}) => outputOf(runtime, script, { env }) },
  {
    name: 'a build',
    run: async ({ runtime }, script, env = {}) => {
      const io = recording()
      await runtime.build(
        buildRequest(fileSource({ 'probe.sh': script }), { buildCommand: 'sh ./probe.sh', startCommand: 'true', env }),
        io,
      )
      return io.text().replace(/^Storing .*\n/m, '')
    },
  },
  {
    name: 'a release command',
    run: async ({ runtime }, script, env = {}) => {
      const request = buildRequest(fileSource({ 'probe.sh': script }), { startCommand: 'true' })
      const { digest } = await runtime.build(request, quiet())
      const io = recording()
      await runtime.runReleaseCommand({ ...request, digest, command: 'sh ./probe.sh', env }, io)
      return io.text()
    },
  },
]

describe.each(strangers)('$name under bubblewrap', ({ run }) => {
  it('cannot read the data directory, home directories, the checkout or the password file', async () => {
    const opened = await openRuntime({ sandbox: 'bwrap' })
    await writeFile(join(opened.dataDir, 'master.key'), 'canary-key')
    const other = await startCommand(opened.runtime, 'echo canary-file > "$HOME/private"; echo canary-file > private; sleep 1000')
    await until(async () => (await readFile(join(opened.dataDir, 'instances', other, 'run-1/home/private'), 'utf8').catch(() => '')) !== '')
    const checkout = join(import.meta.dirname, '../..')
    const targets = [
      opened.dataDir,
      join(opened.dataDir, 'master.key'),
      homedir(),
      checkout,
      '/etc/shadow',
      '/etc/ssl/private',
      '/etc/ssh',
      '/var/lib',
      '/run/dbus',
      '/sys/kernel',
      '/boot',
    ]
    const script = `for path in ${targets.join(' ')}; do ls -A "$path" 2>/dev/null; cat "$path" 2>/dev/null; done
      grep -rs canary- / --include=private --include=master.key 2>/dev/null; cat /etc/passwd; echo "end of probe"`
    const output = await run(opened, script)
    expect(output).toContain('end of probe')
    expect(output).not.toContain('canary-')
    expect(
      output
        .replace(/^Detected.*\n\$.*\n/, '')
        .trim()
        .split('\n'),
    ).toEqual(['app:x:1000:1000:app:/home/app:/bin/sh', 'nobody:x:65534:65534:nobody:/:/bin/false', 'end of probe'])
  })

  it('sees only its own processes, and nothing of the environment of the control plane', async () => {
    const opened = await openRuntime({ sandbox: 'bwrap' })
    process.env.QUAYSIDE_TEST_CANARY = 'canary-environment'
    const sleep = uniqueSleep()
    const bystander = spawn('sleep', [sleep.split(' ')[1]!])
    try {
      const script =
        'cat /proc/[0-9]*/cmdline | tr "\\0" " "; cat /proc/[0-9]*/environ | tr "\\0" "\\n"; echo; ls -d /proc/[0-9]* | wc -l; kill -0 $1 2>&1; echo end'
      const output = await run(opened, script.replace('$1', String(bystander.pid)))
      expect(output).not.toContain('canary-environment')
      expect(output).not.toContain(sleep)
      expect(Number(/\n(\d+)\n/.exec(output)?.[1])).toBeLessThan(10)
      expect(output).toMatch(/No such process/i)
    } finally {
      delete process.env.QUAYSIDE_TEST_CANARY
      bystander.kill('SIGKILL')
    }
  })

  it('can write only to its own directories, and has no privileges to change that', async () => {
    const opened = await openRuntime({ sandbox: 'bwrap' })
    // Files are only opened, not written, so that a failure of the sandbox does no harm to the machine.
    const script = `for path in / /usr /usr/bin /etc /etc/ssl /bin /lib /root /home /var /run /dev /opt; do
        (exec 9>>"$path/quayside-escape") 2>/dev/null && echo "wrote to $path"
      done
      find /proc -path '/proc/[0-9]*' -prune -o -path /proc/pressure -prune -o -type f -print 2>/dev/null | while read -r file; do
        (exec 9>>"$file") 2>/dev/null && echo "wrote to $file"
      done
      mount -t tmpfs tmpfs /tmp 2>/dev/null && echo mounted
      mount -o remount,rw /usr 2>/dev/null && echo remounted
      grep -E '^(Cap|NoNewPrivs)' /proc/self/status
      for path in . "$HOME" /tmp /dev/shm; do echo x > "$path/own" && echo "own $path"; done
      for descriptor in 3 4 5 6 7 8; do [ -e "/proc/$$/fd/$descriptor" ] && ls -l "/proc/$$/fd/$descriptor"; done; id -u`
    const output = await run(opened, script)
    expect(output).not.toMatch(/wrote|mounted/)
    expect(output.match(/^Cap\w+:\s+0{16}$/gm)).toHaveLength(5)
    expect(output).toMatch(/NoNewPrivs:\s+1/)
    expect(output).toContain('own .\nown /home/app\nown /tmp\nown /dev/shm\n')
    // No descriptor of the control plane is open besides stdin, stdout and stderr.
    expect(output.trim().split('\n').slice(-2)).toEqual(['own /dev/shm', '1000'])
    expect(await exists('/usr/quayside-escape')).toBe(false)
  })

  it('cannot create a user namespace', async () => {
    const opened = await openRuntime({ sandbox: 'bwrap' })
    expect(await run(opened, 'unshare --user true 2>&1 && echo nested; echo tried')).toMatch(/unshare.*\ntried/)
  })

  it('cannot make programs outside load its code through a variable', async () => {
    const opened = await openRuntime({ sandbox: 'bwrap' })
    const missing = '/app/no-such-library.so'
    const output = await run(opened, 'echo "preload $LD_PRELOAD"; env | grep -c BASH_ENV', {
      LD_PRELOAD: missing,
      BASH_ENV: '/app/evil',
      ENV: '/app/evil',
    })
    expect(output).toContain(`preload ${missing}`)
    // The dynamic loader reports an error in every process that has the variable. Only processes inside may have it.
    expect(output).not.toMatch(/(bwrap|unshare|mount).*cannot be preloaded/)
  })
})

it.each(modes)('descriptors that the control plane inherited do not reach builds and instances (%s)', async (sandbox) => {
  const dataDir = await mkdtemp(join(tmpdir(), 'quayside-handed-'))
  const secret = await open(join(dataDir, 'secret'), 'w+')
  try {
    const between = Array.from({ length: 60 }, () => 'ignore' as const)
    const child = openChild(undefined, [secret.fd, ...between, secret.fd])
    await child.order({ open: { dataDir, sandbox, hostPath } })
    const buildCommand =
      'for fd in $(ls /proc/self/fd); do [ "$fd" -le 4 ] || exit 9; done; for fd in 3 63; do [ ! -e /proc/$$/fd/$fd ] || exit 8; done'
    const { source: _source, ...request } = buildRequest(fileSource({}), { startCommand: 'true', buildCommand })
    await child.order({ build: request, files: {} })
    await child.kill()
  } finally {
    await secret.close()
    await rm(dataDir, { recursive: true, force: true })
  }
})

it('the control plane does not close the certificate file that Node is still reading', async () => {
  const dataDir = await mkdtemp(join(tmpdir(), 'quayside-certificates-'))
  const pipe = join(dataDir, 'certificates')
  execFileSync('mkfifo', [pipe])
  try {
    const child = openChild(['env', `NODE_EXTRA_CA_CERTS=${pipe}`, ...inChildCommand])
    const writer = await open(pipe, 'w')
    const opened = child.order({ open: { dataDir, sandbox: 'none', hostPath } })
    await until(() => exists(join(dataDir, 'sandbox')))
    // Enough that the process opens the runtime while Node reads. Writing fails if the other end is closed.
    await writer.writeFile(Array.from({ length: 20 }, () => rootCertificates.join('\n')).join('\n'))
    await writer.close()
    expect(await opened).toBe('none')
    await child.kill()
  } finally {
    await rm(dataDir, { recursive: true, force: true })
  }
})

it('a sandbox resolves names and trusts certificates as the host does', async () => {
  const { runtime } = await openRuntime({ sandbox: 'bwrap' })
  const script = `node -e "require('node:dns').lookup('localhost', (error, address) => console.log(error ?? address))"; ls /etc/ssl/certs | wc -l`
  const [address, certificates] = (await outputOf(runtime, script)).trim().split('\n')
  expect(address).toMatch(/^(127\.0\.0\.1|::1)$/)
  expect(Number(certificates)).toBeGreaterThan(0)
})

it('without bubblewrap, the runtime reports it, and fails if bubblewrap is required', async () => {
  const { dataDir, runtime } = await openRuntime({ sandbox: 'auto' })
  expect(runtime.sandbox).toBe('bubblewrap')
  expect(runtime.sandboxMissing).toBeNull()
  const child = openChild(inOwnMounts('mount --bind /dev/null "$(command -v bwrap)"'))
  await expect(child.order({ open: { dataDir, sandbox: 'bwrap', hostPath } })).rejects.toThrow('bubblewrap does not work on this machine')
  expect(await child.order({ open: { dataDir, sandbox: 'auto', hostPath } })).toBe('none')
  const open = await openRuntime({ sandbox: 'none' })
  expect(open.runtime.sandbox).toBe('none')
  expect(open.runtime.sandboxMissing).toBe('the setting SANDBOX disables it')
})

it('if the kernel does not allow overlay mounts, an instance has a copy of its release', async () => {
  const { dataDir } = await openRuntime({ sandbox: 'auto' })
  const child = openChild(inOwnMounts('mount --bind /bin/false "$(command -v mount)"'))
  expect(await child.order({ open: { dataDir, sandbox: 'bwrap', hostPath } })).toBe('bubblewrap')
  const { source: _source, ...build } = buildRequest(fileSource({}), { startCommand: 'cat file.txt > copy.txt; sleep 1000' })
  const release = (await child.order({ build, files: { 'file.txt': 'released' } })) as BuiltRelease
  const request = startRequest(release, { kind: 'worker' })
  await child.order({ start: request })
  const copy = join(dataDir, 'instances', request.instanceId, 'run-1/view/copy.txt')
  await until(async () => (await readFile(copy, 'utf8').catch(() => '')) === 'released')
})

it('a full disk causes NO_CAPACITY in every step, and can be cleared', async () => {
  const { dataDir } = await openRuntime({ sandbox: 'none' })
  const child = openChild(inOwnMounts(`mount -t tmpfs -o size=8m tmpfs ${dataDir}`))
  await child.order({ open: { dataDir, sandbox: 'bwrap', hostPath, quotas: { dataDirFreeBytes: 1 << 20 } } })
  const order = (wishes: Partial<BuildRequest>, files: Record<string, string> = {}) => {
    const { source: _source, ...build } = buildRequest(fileSource({}), {
      startCommand: 'while :; do cat /dev/zero >> "$HOME/fill"; sleep 0.05; done',
      ...wishes,
    })
    return child.order({ build, files })
  }
  await expect(order({ buildCommand: 'cat /dev/zero > fill' })).rejects.toMatchObject({ code: 'NO_CAPACITY' })
  await expect(order({}, { large: 'x'.repeat(10 << 20) })).rejects.toMatchObject({ code: 'NO_CAPACITY' })
  const release = (await order({})) as BuiltRelease
  const request = startRequest(release)
  await child.order({ start: request })
  const another = startRequest(release)
  const refused = () =>
    child
      .order({ start: another })
      .then(() => child.order({ forget: another.instanceId }))
      .then(
        () => false,
        (error) => error.code === 'NO_CAPACITY',
      )
  await until(refused)
  await child.order({ forget: another.instanceId })
  await child.order({ forget: request.instanceId })
  await child.order({ start: startRequest(release) })
  for (const instanceId of (await child.order({ list: true })) as string[]) await child.order({ forget: instanceId })
})

describe('the toolchain', () => {
  it('exposes an installed version with its libraries, but not our own programs and shims', async () => {
    const { dataDir } = await openRuntime({ sandbox: 'none' })
    const version = join(dataDir, 'versions/node/bin')
    const shims = join(dataDir, 'shims')
    const links = join(dataDir, 'links')
    for (const directory of [version, shims, links]) await mkdir(directory, { recursive: true })
    await copyFile(process.execPath, join(version, 'node'))
    await symlink(join(version, 'node'), join(links, 'node'))
    await writeFile(join(shims, 'python3'), '#!/bin/sh\nexit 1\n', { mode: 0o755 })
    const path = ['/x/node_modules/.bin', 'relative', '', shims, links, '/usr/bin'].join(':')
    const toolchain = await readToolchain(path, [])
    expect(toolchain.directories).toEqual([join(dataDir, 'versions/node')])
    expect(toolchain.sandboxPath).toBe(`${version}:/usr/bin:/usr/local/bin:/bin`)
    expect(toolchain.hostPath).toBe(`${shims}:${links}:/usr/bin:/usr/local/bin:/bin`)
    // Never a directory that contains hidden ones.
    expect((await readToolchain(path, [join(dataDir, 'versions/node/secret')])).directories).toEqual([version])
    expect((await readToolchain(path, [join(version, 'secret')])).directories).toEqual([])
  })

  it('of a Node outside the system directories works in the sandbox', async () => {
    const prefix = await mkdtemp(join(tmpdir(), 'quayside-toolchain-'))
    try {
      await mkdir(join(prefix, 'bin'))
      await copyFile(process.execPath, join(prefix, 'bin/node'))
      const { runtime } = await openRuntime({ sandbox: 'bwrap', hostPath: `${prefix}/bin:/usr/bin:/bin` })
      const output = await outputOf(
        runtime,
        'command -v node; node -p process.version; echo x > "$(dirname "$(command -v node)")/x" || echo refused',
      )
      expect(output.split('\n').slice(0, 2)).toEqual([`${prefix}/bin/node`, process.version])
      expect(output).toContain('refused')
    } finally {
      await rm(prefix, { recursive: true, force: true })
    }
  })
})
