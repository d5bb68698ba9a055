/** Persistent disks: their data outlives instances, one instance has a disk at a time, and nothing reaches outside of it. */
import { execFileSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { DiskMount } from '../../src/domain/deploys/disk/ports.ts'
import type { Runtime } from '../../src/domain/deploys/instance/ports.ts'
import { openChild } from './process-peer.ts'
import { buildRequest, fileSource, hostPath, modes, observe, openRuntime, quiet, readAll, startRequest, until } from './process-support.ts'

const mount = (mountPath: string, wishes: Partial<DiskMount> = {}): DiskMount => ({
  ...{ diskId: randomUUID(), mountPath, variable: 'QUAYSIDE_DISK_DATA', readOnly: false },
  ...wishes,
})

const wait = 'sleep 1000'

/** Runs commands as instances of one release. */
async function commands(runtime: Runtime) {
  const release = await runtime.build(buildRequest(fileSource({ file: '' }), { startCommand: wait }), quiet())
  const start = async (startCommand: string, disks: DiskMount[]) => {
    const request = startRequest(release, { startCommand, disks })
    await runtime.start(request)
    return request.instanceId
  }
  /** Runs a command to its end. Returns its output. */
  const output = async (command: string, disks: DiskMount[]) => {
    const instanceId = await start(command, disks)
    await until(async () => (await observe(runtime, instanceId)).state === 'exited')
    return await readAll(runtime, instanceId)
  }
  return { release, start, output }
}

const refused = (code: string) => expect.objectContaining({ code })

describe.each(modes)('a disk with sandbox %s', (sandbox) => {
  it('is mounted below /app, outlives its instances, and is in one instance at a time', async () => {
    const { runtime } = await openRuntime({ sandbox })
    const { start, output } = await commands(runtime)
    const disks = [mount('/app/up/loads')]
    const [{ diskId }] = disks as [DiskMount]
    // The path that the variable names and the one below the working directory are the same disk.
    expect(await output('ln -s / up/loads/out && echo kept > "$QUAYSIDE_DISK_DATA/file" && cat up/loads/file', disks)).toBe('kept\n')
    const instanceId = await start(wait, disks)
    await expect(start(wait, disks)).rejects.toThrow('The disk is in use by another instance.')
    await expect(runtime.removeDisk(diskId)).rejects.toEqual(refused('DISK_IN_USE'))
    await expect(runtime.writeDisk(diskId, Readable.from([]))).rejects.toThrow()

    const measured = await runtime.measureDisks([diskId, randomUUID()], quiet().signal)
    expect([...measured.keys()]).toEqual([diskId])
    expect(measured.get(diskId)).toBeGreaterThan(4_000)

    await runtime.stop(instanceId, { graceMs: 0 })
    await runtime.forget(instanceId)
    await runtime.sweep()
    await runtime.removeService(randomUUID())
    expect(await output('cat up/loads/file', disks)).toBe('kept\n')

    const copy = [mount('/app/copy')]
    await runtime.writeDisk(copy[0]!.diskId, await runtime.readDisk(diskId))
    await expect(runtime.writeDisk(copy[0]!.diskId, await runtime.readDisk(diskId))).rejects.toEqual(refused('DISK_NOT_EMPTY'))
    expect(await output('cat copy/file; readlink copy/out; [ -O copy/file ] && echo own', copy)).toBe('kept\n/\nown\n')

    await runtime.removeDisk(diskId)
    await runtime.removeDisk(diskId)
    expect(await runtime.measureDisks([diskId], quiet().signal)).toEqual(new Map())
  })

  it('is in a release command, which has it alone, and is as it was after its snapshot is restored', async () => {
    const { runtime } = await openRuntime({ sandbox })
    const disks = [mount('/app/files')]
    const [{ diskId }] = disks as [DiskMount]
    const { release, start } = await commands(runtime)
    const place = { serviceId: randomUUID(), deploymentId: randomUUID() }
    const command = (text: string) =>
      runtime.runReleaseCommand({ ...place, digest: release.digest, command: text, env: {}, disks }, quiet())
    await command('mkdir files/a && echo 1 > files/a/one && ln -s / files/out && echo "$QUAYSIDE_DISK_DATA" | grep -q files')
    await runtime.snapshotDisk(diskId, 'before')
    await runtime.snapshotDisk(diskId, 'before')
    await command('rm -r files/a && echo 2 > files/two')
    expect(await runtime.restoreDisk(diskId, 'before')).toBe(true)
    expect(await runtime.restoreDisk(diskId, 'before')).toBe(false)
    await command('[ "$(cat files/a/one)" = 1 ] && [ -L files/out ] && [ ! -e files/two ]')
    await runtime.snapshotDisk(diskId, 'before')
    await runtime.removeDiskSnapshot(diskId, 'before')
    expect(await runtime.restoreDisk(diskId, 'before')).toBe(false)

    const instanceId = await start(wait, disks)
    for (const use of [() => command('true'), () => runtime.snapshotDisk(diskId, 'late'), () => runtime.restoreDisk(diskId, 'late')])
      await expect(use()).rejects.toEqual(refused('DISK_IN_USE'))
    await runtime.stop(instanceId, { graceMs: 0 })
  })

  it('refuses a release that has a file or a link at the mount path', async () => {
    const { runtime } = await openRuntime({ sandbox })
    const release = await runtime.build(
      buildRequest(fileSource({ 'up/loads': 'a file' }), { startCommand: wait, buildCommand: 'ln -s up link' }),
      quiet(),
    )
    for (const path of ['/app/up/loads', '/app/up/loads/deep', '/app/link', '/app/link/deep'])
      await expect(runtime.start(startRequest(release, { disks: [mount(path)] }))).rejects.toThrow('which is not a directory')
  })
})

describe('a disk in bubblewrap', () => {
  it('is mounted outside /app, also read-only, and its links lead to what the instance sees', async () => {
    const { runtime, dataDir } = await openRuntime({ sandbox: 'bwrap' })
    const { start, output } = await commands(runtime)
    const disks = [mount('/var/data/shop')]
    const made = await output('ln -s / /var/data/shop/root && echo 1 > /var/data/shop/file; echo "$QUAYSIDE_DISK_DATA"', disks)
    expect(made).toBe('/var/data/shop\n')
    // Neither the host's root nor the data directory is behind the link.
    const probes = [`/var/data/shop/root${dataDir}`, '/var/data/shop/root/root', '/var/data/shop/..'].map((path) => `ls ${path}`)
    const seen = await output(`(${probes.join('; ')}; cat /var/data/shop/file; echo 2 > /var/data/shop/file) 2>/dev/null`, disks)
    expect(seen).toBe('shop\n1\n')
    const readOnly = disks.map((disk) => ({ ...disk, readOnly: true }))
    expect(await output('(echo 3 > /var/data/shop/file) 2>/dev/null; cat /var/data/shop/file', readOnly)).toBe('2\n')
    expect(await output('echo 4 > /var/data/shop/file; cat /var/data/shop/file', disks)).toBe('4\n')
    await expect(start(wait, [mount('/usr/share/data')])).rejects.toThrow('is a directory of the system')
  })

  it('is in one instance, whichever of two processes start instances with it', async () => {
    const { runtime, dataDir } = await openRuntime({ sandbox: 'bwrap' })
    const child = openChild()
    await child.order({ open: { dataDir, sandbox: 'bwrap', hostPath } })
    const { release } = await commands(runtime)
    const disks = [mount('/data')]
    for (let round = 0; round < 3; round++) {
      const requests = [startRequest(release, { disks }), startRequest(release, { disks })] as const
      const outcomes = await Promise.allSettled([runtime.start(requests[0]), child.order({ start: requests[1] })])
      expect(outcomes.filter(({ status }) => status === 'fulfilled').length).toBeLessThanOrEqual(1)
      const states = await runtime.observe(requests.map(({ instanceId }) => instanceId))
      expect(states.filter(({ state }) => state === 'running')).toHaveLength(outcomes.filter(({ status }) => status === 'fulfilled').length)
      for (const { instanceId } of requests) await runtime.stop(instanceId, { graceMs: 0 })
    }
    // An instance has its disk as long as it runs, also when the process that started it is gone.
    const last = startRequest(release, { disks })
    await child.order({ start: last })
    await child.kill()
    await expect(runtime.start(startRequest(release, { disks }))).rejects.toThrow('in use')
    await runtime.stop(last.instanceId, { graceMs: 0 })
    await runtime.start(startRequest(release, { disks }))
  })
})

it('without a sandbox, a disk outside /app fails the start and says why', async () => {
  const { runtime } = await openRuntime({ sandbox: 'none' })
  const { start } = await commands(runtime)
  await expect(start(wait, [mount('/data')])).rejects.toThrow(
    'The disk cannot be mounted at /data: without bubblewrap, only paths below /app are possible.',
  )
})

describe('an archive for a disk', () => {
  it('writes nothing outside the disk, and is refused whole if it is damaged or contains a pipe', async () => {
    const { runtime, dataDir } = await openRuntime({ sandbox: 'none' })
    const directory = mkdtempSync(join(tmpdir(), 'quayside-archive-'))
    onTestFinished(() => rmSync(directory, { recursive: true }))
    const tar = (...args: string[]) => Readable.from([execFileSync('tar', ['-C', join(directory, 'in'), '-P', '-cf', '-', ...args])])
    mkdirSync(join(directory, 'in/real'), { recursive: true })
    writeFileSync(join(directory, 'in/real/planted'), 'planted')
    symlinkSync(directory, join(directory, 'in/link'))
    // The link leads to a directory of the host; the next member would be written through it.
    const through = tar('link', '--transform=s,^real,link,', 'real/planted')
    await runtime.writeDisk('through', through).catch((error) => expect(error).toEqual(refused('ARCHIVE_REJECTED')))
    const above = tar('--transform=s,^real,../../../../escaped,', 'real/planted')
    await expect(runtime.writeDisk('above', above)).rejects.toEqual(refused('ARCHIVE_REJECTED'))
    const absolute = tar(`--transform=s,^real,${directory}/absolute,`, 'real/planted')
    await runtime.writeDisk('absolute', absolute)
    expect(readdirSync(directory)).toEqual(['in'])
    expect(readdirSync(dataDir)).not.toContain('escaped')

    execFileSync('mkfifo', [join(directory, 'in/pipe')])
    await expect(runtime.writeDisk('pipe', tar('pipe'))).rejects.toThrow('pipe in the archive is neither a file')
    rmSync(join(directory, 'in/pipe'))
    const whole = await buffer(tar('real'))
    await expect(runtime.writeDisk('half', Readable.from([whole.subarray(0, 700)]))).rejects.toEqual(refused('ARCHIVE_REJECTED'))
    const broken = new Readable({ read() {} })
    broken.push(whole.subarray(0, 1_000))
    setImmediate(() => broken.destroy(new Error('the store is away')))
    await expect(runtime.writeDisk('broken', broken)).rejects.toEqual(refused('ARCHIVE_REJECTED'))
    expect(await runtime.measureDisks(['pipe', 'half', 'broken', 'above'], quiet().signal)).toEqual(new Map())
    expect(await buffer(await runtime.readDisk('none-yet'))).toHaveLength(10_240)
    expect(await readFile(join(dataDir, 'disks/absolute/data', directory, 'absolute/planted'), 'utf8')).toBe('planted')
  })
})
