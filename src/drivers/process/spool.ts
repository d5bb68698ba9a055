/**
 * The output of an instance. The instance itself appends to two files, so nothing is lost while the control plane is down. Output that has
 * been stored is overwritten with zeros, because it may contain secrets. Stored output, and output beyond the cap, is punched out of the
 * files: their sizes grow, but not their disk usage, and a position always refers to the same byte.
 */
import { execFile } from 'node:child_process'
import { statSync } from 'node:fs'
import { type FileHandle, open, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { OutputPosition, OutputRead } from '../../domain/deploys/instance/ports.ts'
import { writeWhole } from '../../platform/whole-file.ts'
import { isErrno } from './tree.ts'

const streams = ['stdout', 'stderr'] as const
const nothing: OutputPosition = { stdout: 0, stderr: 0 }

/** Holes are punched in whole pages, and only if they are large enough to be worth a process. */
const pageBytes = 4096
const worthwhileBytes = 3 << 20

export async function openSpool(directory: string): Promise<{ stdout: FileHandle; stderr: FileHandle; close(): Promise<void> }> {
  const stdout = await open(join(directory, 'stdout'), 'a', 0o600)
  const stderr = await open(join(directory, 'stderr'), 'a', 0o600)
  return { stdout, stderr, close: async () => void (await Promise.all([stdout.close(), stderr.close()])) }
}

/**
 * Reads both streams from `position` on. Output before it has been stored and is blanked. Unread output beyond `capBytes` of a stream is
 * dropped, oldest first.
 */
export async function readSpool(directory: string, position: OutputPosition, maxBytes: number, capBytes: number): Promise<OutputRead> {
  const result: OutputRead = { chunks: [], position: { ...position }, droppedBytes: 0 }
  const sizes = readSizes(directory)
  await blank(directory, position, sizes)
  if (streams.every((stream) => sizes[stream] <= position[stream]) || maxBytes <= 0) return result
  const reclaimed = await readReclaimed(directory)
  const keepFrom = { ...position }
  let budget = maxBytes
  for (const [turn, stream] of streams.entries()) {
    const from = Math.max(position[stream], reclaimed[stream], sizes[stream] - capBytes)
    if (from >= sizes[stream]) continue
    result.droppedBytes += from - position[stream]
    keepFrom[stream] = from
    const isLast = turn === streams.length - 1 || sizes.stderr <= position.stderr
    const bytes = await readSlice(join(directory, stream), from, Math.min(isLast ? budget : Math.ceil(budget / 2), sizes[stream] - from))
    budget -= bytes.length
    if (bytes.length > 0) result.chunks.push({ stream, bytes })
    result.position[stream] = from + bytes.length
  }
  await reclaim(directory, reclaimed, keepFrom)
  return result
}

/** Up to where this process has blanked each spool. A new process starts at the end of the last hole. */
const blanked = new Map<string, OutputPosition>()

export const forgetSpool = (directory: string): boolean => blanked.delete(directory)

async function blank(directory: string, position: OutputPosition, sizes: OutputPosition): Promise<void> {
  const from = blanked.get(directory) ?? (await readReclaimed(directory))
  blanked.set(directory, from)
  if (streams.every((stream) => position[stream] <= from[stream])) return
  for (const stream of streams) await overwrite(join(directory, stream), from[stream], Math.min(position[stream], sizes[stream]))
  blanked.set(directory, position)
}

async function overwrite(file: string, from: number, to: number): Promise<void> {
  if (from >= to) return
  const handle = await open(file, 'r+')
  try {
    for (let at = from; at < to; at += zeros.length) await handle.write(zeros, 0, Math.min(zeros.length, to - at), at)
  } finally {
    await handle.close()
  }
}

const zeros = Buffer.alloc(1 << 16)

/** Synchronous: it is called many times per second for each instance and takes 3 µs, compared to 100 µs in the thread pool. */
const readSizes = (directory: string): OutputPosition => ({
  stdout: sizeOf(join(directory, 'stdout')),
  stderr: sizeOf(join(directory, 'stderr')),
})

const sizeOf = (file: string): number => statSync(file, { throwIfNoEntry: false })?.size ?? 0

async function readSlice(file: string, from: number, length: number): Promise<Uint8Array> {
  const handle = await openToRead(file)
  if (handle === null) return new Uint8Array()
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(length), 0, length, from)
    return buffer.subarray(0, bytesRead)
  } finally {
    await handle.close()
  }
}

async function openToRead(file: string): Promise<FileHandle | null> {
  try {
    return await open(file, 'r')
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return null
    throw error
  }
}

/** The new positions are recorded before the holes are punched, so that no reader mistakes the zeros of a hole for output. */
async function reclaim(directory: string, reclaimed: OutputPosition, keepFrom: OutputPosition): Promise<void> {
  const target = { ...reclaimed }
  for (const stream of streams) {
    const end = Math.floor(keepFrom[stream] / pageBytes) * pageBytes
    if (end - reclaimed[stream] >= worthwhileBytes) target[stream] = end
  }
  if (streams.every((stream) => target[stream] === reclaimed[stream])) return
  await writeWhole(join(directory, 'reclaimed'), JSON.stringify(target), { durable: false })
  for (const stream of streams) {
    if (target[stream] > reclaimed[stream]) await punch(join(directory, stream), target[stream])
  }
}

async function readReclaimed(directory: string): Promise<OutputPosition> {
  try {
    return { ...nothing, ...(JSON.parse(await readFile(join(directory, 'reclaimed'), 'utf8')) as OutputPosition) }
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return nothing
    throw error
  }
}

const runProgram = promisify(execFile)

/** If the program or the file system does not support it, the bytes stay on the disk until the instance is forgotten. */
async function punch(file: string, end: number): Promise<void> {
  await runProgram('fallocate', ['--punch-hole', '--offset', '0', '--length', String(end), file]).catch(() => undefined)
}
