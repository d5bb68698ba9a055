/**
 * The data of persistent disks. Who has a disk is decided on disk, like the runs of instances (instance-store.ts): each holder is a file
 * that can be created only once, and the one with the highest number is the current one. It counts as long as what it names is running.
 */
import { spawn } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { mkdir, readdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { PassThrough, type Readable } from 'node:stream'
import type { DiskFailureCode, DiskMount, DiskStore } from '../../domain/deploys/disk/ports.ts'
import { PortError } from '../../platform/errors.ts'
import { isAlive, markOf, type ProcessMark } from '../../platform/process-mark.ts'
import { createWhole } from '../../platform/whole-file.ts'
import { namingFullDisk, type Quotas, requireRoom } from './disk.ts'
import { fileName, type Layout } from './layout.ts'
import type { Mount } from './sandbox.ts'
import { inThread } from './thread.ts'
import { isErrno } from './tree.ts'
import { discard, withWorkspace } from './workspace.ts'

/** A run of an instance, a process of the control plane that fills the disk, or the removal, which never ends. */
export type Holder = { instanceId: string; run: number } | { process: ProcessMark | null } | 'removal'

export type PersistentDisks = DiskStore & {
  /** Gives a disk to the run of an instance. Creates it if it does not exist. Returns its directory. Throws PortError DISK_IN_USE. */
  hold(diskId: string, run: { instanceId: string; run: number }): Promise<string>
  /** Has disks for as long as `work` runs, or this process. Creates those that do not exist. Throws PortError DISK_IN_USE. */
  use<T>(disks: readonly DiskMount[], work: (mounts: Mount[]) => Promise<T>): Promise<T>
}

export type PersistentDiskParts = {
  layout: Layout
  quotas: Quotas
  /** Whether a run of an instance is still running. Kills what a run that has ended left behind. */
  isRunning(run: { instanceId: string; run: number }): Promise<boolean>
}

const programs = { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', LANG: 'C' }

const failed = (code: DiskFailureCode, text: string, cause?: unknown) => new PortError<DiskFailureCode>(code, text, { cause })

export function createPersistentDisks({ layout, quotas, isRunning }: PersistentDiskParts): PersistentDisks {
  const directoryOf = (diskId: string) => join(layout.disks, fileName(diskId))
  const dataOf = (diskId: string) => join(directoryOf(diskId), 'data')

  const isHeld = async (holder: Holder): Promise<boolean> => {
    if (holder === 'removal') return true
    if ('process' in holder) return holder.process !== null && isAlive(holder.process)
    return await isRunning(holder)
  }

  /** Becomes the holder of a disk that exists. A removal takes over an interrupted one. */
  async function take(diskId: string, wanted: Holder): Promise<void> {
    const directory = directoryOf(diskId)
    for (;;) {
      const former = readHolder(directory)
      const isFree = former === null || (former.holder === 'removal' && wanted === 'removal') || !(await isHeld(former.holder))
      if (!isFree) throw failed('DISK_IN_USE', 'The disk is in use by another instance.')
      const number = (former?.number ?? 0) + 1
      const file = join(directory, `holder-${number}`)
      if (!(await createWhole(file, JSON.stringify(wanted), { durable: false }))) continue
      if (readHolder(directory)?.number !== number) {
        // Several holders have come and gone since the first look, and the last one has removed the file of this number.
        await rm(file, { force: true })
        continue
      }
      for (const name of await readdir(directory)) if (numberOf(name) < number) await rm(join(directory, name), { force: true })
      return
    }
  }

  /** Creates a disk that does not exist, and becomes its holder. */
  async function takeOrCreate(diskId: string, wanted: Holder): Promise<void> {
    for (;;) {
      await mkdir(dataOf(diskId), { recursive: true, mode: 0o700 })
      try {
        return await take(diskId, wanted)
      } catch (error) {
        // A removal that was in progress has just finished.
        if (!isErrno(error, 'ENOENT')) throw error
      }
    }
  }

  /** Has a disk for as long as `work` runs. */
  async function whileHeld<T>(diskId: string, work: () => Promise<T>): Promise<T> {
    await takeOrCreate(diskId, { process: markOf(process.pid) })
    try {
      return await work()
    } finally {
      await release(directoryOf(diskId))
    }
  }

  const snapshotOf = (diskId: string, snapshotId: string) => join(directoryOf(diskId), `snapshot-${fileName(snapshotId)}`)
  const partOf = (snapshot: string) => `${snapshot}.part`

  async function use<T>([disk, ...others]: readonly DiskMount[], work: (mounts: Mount[]) => Promise<T>): Promise<T> {
    if (disk === undefined) return work([])
    const mount: Mount = { directory: dataOf(disk.diskId), path: disk.mountPath, readOnly: disk.readOnly }
    return whileHeld(disk.diskId, () => use(others, (mounts) => work([mount, ...mounts])))
  }

  return {
    async hold(diskId, run) {
      await takeOrCreate(diskId, run)
      return dataOf(diskId)
    },
    use,
    async snapshotDisk(diskId, snapshotId) {
      const snapshot = snapshotOf(diskId, snapshotId)
      await whileHeld(diskId, async () => {
        for (const path of [partOf(snapshot), snapshot]) await discard(layout, path)
        await namingFullDisk(() => linkTree(dataOf(diskId), partOf(snapshot)))
        await rename(partOf(snapshot), snapshot)
      })
    },
    restoreDisk: (diskId, snapshotId) =>
      whileHeld(diskId, async () => {
        const snapshot = snapshotOf(diskId, snapshotId)
        if (!existsSync(snapshot)) return false
        await discard(layout, dataOf(diskId))
        await rename(snapshot, dataOf(diskId))
        return true
      }),
    async removeDiskSnapshot(diskId, snapshotId) {
      const snapshot = snapshotOf(diskId, snapshotId)
      for (const path of [snapshot, partOf(snapshot)]) await discard(layout, path)
    },
    async measureDisks(diskIds, signal) {
      const existing = new Set(await readdir(layout.disks))
      const found = new Map(diskIds.filter((id) => existing.has(id)).map((id) => [dataOf(id), id]))
      if (found.size === 0) return new Map()
      // In its own program with a low priority, because a disk may have millions of files.
      const lines = await printed(['nice', '-n', '19', 'du', '-s', '-x', '-B1', '--', ...found.keys()], signal)
      return new Map(
        lines.split('\n').flatMap((line) => {
          const [, bytes, path] = /^(\d+)\t(.*)$/.exec(line) ?? []
          const id = found.get(path ?? '')
          return id === undefined ? [] : [[id, Number(bytes)] as const]
        }),
      )
    },
    async removeDisk(diskId) {
      try {
        await take(diskId, 'removal')
      } catch (error) {
        if (isErrno(error, 'ENOENT')) return
        throw error
      }
      await discard(layout, directoryOf(diskId))
    },
    readDisk: async (diskId) => archiveOf(dataOf(diskId)),
    async writeDisk(diskId, archive) {
      // It may fail before it is read.
      archive.on('error', () => undefined)
      await requireRoom(layout.dataDir, quotas)
      await withWorkspace(layout, fileName(diskId), async (directory) => {
        const content = join(directory, 'content')
        await mkdir(content, { mode: 0o700 })
        await namingFullDisk(() => extract(archive, content))
        const special = await inThread('specialFile', content, { output: () => undefined, signal: new AbortController().signal })
        if (special !== null) throw failed('ARCHIVE_REJECTED', `${special} in the archive is neither a file nor a directory nor a link.`)
        await whileHeld(diskId, () => rename(content, dataOf(diskId))).catch((error) => {
          throw isErrno(error, 'ENOTEMPTY', 'EEXIST') ? failed('DISK_NOT_EMPTY', 'The disk already contains data.', error) : error
        })
      })
    },
  }
}

/** Ends the hold of this process. A process that dies before has the same effect. */
async function release(directory: string): Promise<void> {
  const present = readHolder(directory)
  await rm(join(directory, `holder-${present?.number}`), { force: true })
}

function readHolder(directory: string): { number: number; holder: Holder } | null {
  for (;;) {
    const number = Math.max(0, ...readdirSync(directory).map(numberOf).filter(Number.isFinite))
    if (number === 0) return null
    try {
      return { number, holder: parseHolder(readFileSync(join(directory, `holder-${number}`), 'utf8')) }
    } catch (error) {
      // A later holder has removed it in the meantime.
      if (!isErrno(error, 'ENOENT')) throw error
    }
  }
}

/** Only a power failure can damage the file, and no holder survives one. */
function parseHolder(text: string): Holder {
  try {
    return JSON.parse(text) as Holder
  } catch {
    return { process: null }
  }
}

/** Infinity for a name that is not that of a holder. */
const numberOf = (name: string): number => Number(/^holder-(\d+)$/.exec(name)?.[1] ?? Number.POSITIVE_INFINITY)

/** Copies directories, and links files. */
async function linkTree(from: string, to: string): Promise<void> {
  const child = spawn('cp', ['-al', '--', from, to], { stdio: ['ignore', 'ignore', 'pipe'], env: programs })
  const problem = lastOf(child.stderr)
  const code = await new Promise<number | null>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', resolve)
  })
  if (code === 0) return
  if (/No space left|quota exceeded/i.test(problem())) throw Object.assign(new Error('The disk is full.'), { code: 'ENOSPC' })
  throw new Error(`The snapshot of the disk failed. ${problem()}`)
}

function printed([file = '', ...args]: string[], signal: AbortSignal): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, { stdio: ['ignore', 'pipe', 'ignore'], env: programs })
    let text = ''
    child.stdout.on('data', (bytes: Buffer) => {
      text += bytes.toString()
    })
    child.on('error', reject)
    const stop = () => child.kill('SIGKILL')
    signal.addEventListener('abort', stop, { once: true })
    if (signal.aborted) stop()
    // Files that are removed in the meantime make it fail, but it still prints the totals.
    child.on('close', () => {
      signal.removeEventListener('abort', stop)
      if (signal.aborted) reject(signal.reason)
      else resolve(text)
    })
  })
}

/** Files that change while they are read make tar exit with 1, and are part of the archive as far as they could be read. */
function archiveOf(data: string): Readable {
  const content = existsSync(data) ? ['-C', data, '.'] : ['-T', '/dev/null']
  const args = ['--one-file-system', '--sparse', '--format=posix', '--numeric-owner', '-cf', '-', ...content]
  const child = spawn('tar', args, { stdio: ['ignore', 'pipe', 'pipe'], env: programs })
  const problem = lastOf(child.stderr)
  // Its end waits for the exit, so that an archive that was cut short never looks complete.
  const archive = new PassThrough()
  child.stdout.pipe(archive, { end: false })
  archive.on('close', () => child.stdout.destroy())
  child.on('error', (error) => archive.destroy(error))
  child.on('close', (code) => {
    if (code === 0 || code === 1) archive.end()
    else archive.destroy(new Error(`The disk could not be read. ${problem()}`))
  })
  return archive
}

/** GNU tar makes links that lead out of the directory only after everything else, so nothing is written through them. */
async function extract(archive: Readable, directory: string): Promise<void> {
  const args = ['-C', directory, '--no-same-owner', '--no-same-permissions', '-xf', '-']
  const child = spawn('tar', args, { stdio: ['pipe', 'ignore', 'pipe'], env: programs })
  const problem = lastOf(child.stderr)
  const ended = new Promise<number | null>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', resolve)
  })
  let end = Buffer.alloc(0)
  // tar stops reading at the end of the archive, and may exit before it has got the last bytes.
  child.stdin.on('error', () => undefined)
  const feed = async () => {
    for await (const chunk of archive as AsyncIterable<Buffer>) {
      end = Buffer.concat([end, chunk]).subarray(-endBytes)
      if (!child.stdin.write(chunk)) await Promise.race([new Promise((resolve) => child.stdin.once('drain', resolve)), ended])
    }
  }
  const fed = feed()
    .then(
      () => null,
      (error: unknown) => error,
    )
    .finally(() => child.stdin.end())
  const [failure, code] = await Promise.all([fed, ended])
  // To tar, an archive that was cut between two files is complete.
  const isWhole = end.length === endBytes && end.every((byte) => byte === 0)
  if (code === 0 && failure === null && isWhole) return
  if (/No space left|quota exceeded/i.test(problem())) throw Object.assign(new Error('The disk could not be filled.'), { code: 'ENOSPC' })
  throw failed('ARCHIVE_REJECTED', 'The archive is damaged or incomplete.', failure ?? new Error(problem()))
}

/** An archive ends with two blocks of zeros. */
const endBytes = 1_024

function lastOf(stream: Readable): () => string {
  let text = ''
  stream.on('data', (bytes: Buffer) => {
    text = (text + bytes).slice(-2_000)
  })
  return () => text.trim()
}
