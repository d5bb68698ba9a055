/**
 * The archive of a base backup: a tar file of the data directory, compressed with zstd. Extracted by any program into an empty directory, it
 * is a data directory that PostgreSQL can recover; its last entry is a manifest in the format of `pg_verifybackup`.
 */
import { createHash, type Hash } from 'node:crypto'
import { mkdir, open } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { PassThrough, type Readable, Transform, type Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { constants, createZstdCompress, createZstdDecompress } from 'node:zlib'
import { extract, type Header, pack } from 'tar-stream'
import type { BackupErrorCode } from '../../../domain/resources/backup/ports.ts'
import { PortError } from '../../../platform/errors.ts'

const manifestFile = 'backup_manifest'

/** Size of the compressed archive, and its SHA-256 in hexadecimal. */
export type ArchiveDigest = { sizeBytes: number; sha256: string }

export type ArchiveWriter = {
  directory(path: string): Promise<void>
  /** Adds a file as it is now. Adds nothing if it does not exist any more. */
  copy(path: string, source: string): Promise<void>
  add(path: string, content: Buffer): Promise<void>
  /** Adds the manifest and ends the archive. */
  finish(wal: WalRange & { systemIdentifier: string }): Promise<ArchiveDigest & { contentBytes: number }>
  abort(error: Error): void
}

export type WalRange = { timeline: number; startLsn: string; endLsn: string }

type ManifestFile = { Path: string; Size: number; 'Last-Modified': string; 'Checksum-Algorithm': 'SHA256'; Checksum: string }

const chunkBytes = 256 * 1024
const compression = { params: { [constants.ZSTD_c_compressionLevel]: 3, [constants.ZSTD_c_checksumFlag]: 1 } }

export const damaged = (message: string, cause?: unknown): PortError<BackupErrorCode> => new PortError('BACKUP_DAMAGED', message, { cause })

/** Writes an archive to `out`, which is ended when the archive is complete. */
export function writeArchive(out: Writable): ArchiveWriter {
  const tar = pack()
  const files: ManifestFile[] = []
  const digest = createDigest()
  const written = pipeline(tar, createZstdCompress(compression), digest.stream, out)
  /** Why the archive could not be written. Thrown by the call that writes next. */
  let failure: unknown
  written.catch((error) => {
    failure = error
  })

  const entry = (header: Partial<Header>, fill: (content: Writable) => Promise<void> = async () => {}) =>
    new Promise<void>((resolve, reject) => {
      const content = tar.entry(header as Header, (error) => (error ? reject(error) : resolve()))
      fill(content as unknown as Writable).catch(reject)
    }).catch((error) => {
      throw failure ?? error
    })
  const write = async (path: string, sizeBytes: number, modifiedAt: Date, chunks: AsyncIterable<Buffer> | Iterable<Buffer>) => {
    const hash = createHash('sha256')
    await entry({ name: path, size: sizeBytes, mode: 0o600, mtime: modifiedAt }, (content) => feed(content, hash, sizeBytes, chunks))
    files.push({
      Path: path,
      Size: sizeBytes,
      'Last-Modified': `${modifiedAt.toISOString().slice(0, 19).replace('T', ' ')} GMT`,
      'Checksum-Algorithm': 'SHA256',
      Checksum: hash.digest('hex'),
    })
  }
  const add = (path: string, content: Buffer) => write(path, content.length, new Date(), [content])

  return {
    add,
    directory: (path) => entry({ name: path, type: 'directory', mode: 0o700 }),
    async copy(path, source) {
      const file = await open(source, 'r').catch(unlessMissing)
      if (file === null) return
      try {
        const { size, mtime } = await file.stat()
        await write(path, size, mtime, read(file, size))
      } finally {
        await file.close()
      }
    },
    async finish({ systemIdentifier, timeline, startLsn, endLsn }) {
      const ranges = [{ Timeline: timeline, 'Start-LSN': startLsn, 'End-LSN': endLsn }]
      await add(manifestFile, manifestOf(systemIdentifier, files, ranges))
      tar.finalize()
      await written
      return { ...digest.result(), contentBytes: files.reduce((sum, { Size }) => sum + Size, 0) }
    },
    abort: (error) => void tar.destroy(error),
  }
}

async function feed(entry: Writable, hash: Hash, sizeBytes: number, chunks: AsyncIterable<Buffer> | Iterable<Buffer>): Promise<void> {
  let left = sizeBytes
  const write = async (chunk: Buffer) => {
    hash.update(chunk)
    left -= chunk.length
    if (!entry.write(chunk)) await new Promise<void>((resolve) => entry.once('drain', resolve))
  }
  for await (const chunk of chunks) await write(chunk)
  // A file that has become shorter is filled up. Its WAL restores the pages, or truncates it again.
  while (left > 0) await write(Buffer.alloc(Math.min(left, chunkBytes)))
  entry.end()
}

type OpenFile = Awaited<ReturnType<typeof open>>

/** The first `sizeBytes` of a file, or less if it is shorter. What it grows by is in the WAL. */
async function* read(file: OpenFile, sizeBytes: number): AsyncGenerator<Buffer> {
  for (let position = 0; position < sizeBytes; ) {
    const { bytesRead, buffer } = await file.read({ buffer: Buffer.allocUnsafe(Math.min(chunkBytes, sizeBytes - position)), position })
    if (bytesRead === 0) return
    position += bytesRead
    yield buffer.subarray(0, bytesRead)
  }
}

const unlessMissing = (error: NodeJS.ErrnoException): null => {
  if (error.code === 'ENOENT') return null
  throw error
}

/** The manifest ends with a checksum of all that precedes it. */
function manifestOf(systemIdentifier: string, files: readonly ManifestFile[], ranges: readonly object[]): Buffer {
  const lines = [
    '{ "PostgreSQL-Backup-Manifest-Version": 2,',
    `"System-Identifier": ${systemIdentifier},`,
    `"Files": [\n${files
      .filter(({ Path }) => !Path.startsWith('pg_wal/'))
      .map((file) => JSON.stringify(file))
      .join(',\n')}\n],`,
    `"WAL-Ranges": [\n${ranges.map((range) => JSON.stringify(range)).join(',\n')}\n],`,
    '',
  ].join('\n')
  return Buffer.from(`${lines}"Manifest-Checksum": "${createHash('sha256').update(lines).digest('hex')}"}\n`)
}

/** Passes bytes through and computes their digest. */
export function createDigest(): { stream: Transform; result(): ArchiveDigest } {
  const hash = createHash('sha256')
  let sizeBytes = 0
  const stream = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      hash.update(chunk)
      sizeBytes += chunk.length
      done(null, chunk)
    },
  })
  return { stream, result: () => ({ sizeBytes, sha256: hash.digest('hex') }) }
}

/** Computes the digest of an archive without extracting it. */
export async function digestOf(archive: Readable): Promise<ArchiveDigest> {
  const digest = createDigest()
  await pipeline(archive, digest.stream, new PassThrough().resume())
  return digest.result()
}

/** Extracts an archive into an empty directory. Throws PortError BACKUP_DAMAGED if it is damaged, incomplete, or not an archive of a base backup. */
export async function extractArchive(archive: Readable, directory: string): Promise<void> {
  const tar = extract()
  const checksums = new Map<string, string>()
  let manifest: Buffer | null = null
  tar.on('entry', (header, stream, next) => {
    store(header, stream as unknown as Readable)
      .then(() => next())
      .catch((error) => tar.destroy(error))
  })
  const store = async (header: Header, content: Readable) => {
    const path = safePath(directory, header)
    if (header.type === 'directory') {
      await mkdir(path, { recursive: true, mode: 0o700 })
      content.resume()
      return
    }
    await mkdir(dirname(path), { recursive: true, mode: 0o700 })
    const hash = createHash('sha256')
    const parts: Buffer[] = []
    const file = await open(path, 'wx', 0o600)
    try {
      for await (const chunk of content as AsyncIterable<Buffer>) {
        hash.update(chunk)
        if (header.name === manifestFile) parts.push(chunk)
        await file.writeFile(chunk)
      }
    } finally {
      await file.close()
    }
    if (header.name === manifestFile) manifest = Buffer.concat(parts)
    else checksums.set(header.name, hash.digest('hex'))
  }
  try {
    await pipeline(archive, createZstdDecompress(), tar as unknown as Writable)
  } catch (error) {
    throw isFromDisk(error) || error instanceof PortError ? error : damaged('The archive of the backup is damaged.', error)
  }
  if (manifest === null) throw damaged('The archive of the backup is incomplete: it has no manifest.')
  const { Files: files } = JSON.parse((manifest as Buffer).toString()) as { Files: ManifestFile[] }
  const wrong = files.find(({ Path, Checksum }) => checksums.get(Path) !== Checksum)
  if (wrong) throw damaged(`The archive of the backup is damaged: ${wrong.Path} is missing or does not have its checksum.`)
}

function safePath(directory: string, { name, type }: Header): string {
  const isSafe = name.split('/').every((part) => part !== '' && part !== '.' && part !== '..')
  if (!isSafe || (type !== 'file' && type !== 'directory')) throw damaged(`The archive of the backup has an unexpected entry: ${name}`)
  return join(directory, name)
}

/** A failed system call, such as that of a full disk, says nothing about the archive. */
const isFromDisk = (error: unknown): boolean => (error as NodeJS.ErrnoException).syscall !== undefined
