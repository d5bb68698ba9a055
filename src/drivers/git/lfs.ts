/**
 * Files that a commit stores in Git LFS. The objects are fetched here and not by git-lfs, which would bypass the egress guard: it resolves
 * names itself and connects to any address that a server names. It also need not be installed.
 * Protocol: the Batch API and the `basic` transfer of github.com/git-lfs/git-lfs/blob/main/docs/api.
 */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { open, readFile, realpath } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { parseRepositoryUrl } from '../../platform/repository-url.ts'
import { sourceRejected } from './failure.ts'
import { type LfsObject, openLfsServer } from './lfs-server.ts'
import { type Budget, spend, type TreeListing } from './listing.ts'
import type { GitSession } from './session.ts'

type Pointer = LfsObject & { path: string }

export type LfsRequest = { commit: string; listing: TreeListing; directory: string; budget: Budget }

/** Replaces the pointers in a completed checkout with their objects. Throws PortError, or `signal.reason`. */
export async function pullLfs(session: GitSession, request: LfsRequest): Promise<void> {
  const pointers = await findPointers(session, request)
  if (pointers.length === 0) return
  for (const { sizeBytes } of pointers) spend(request.budget, { bytes: sizeBytes, files: 0 })
  await session.say(`Fetching ${pointers.length} LFS files`)
  const read = session.transport.protocol === 'file' ? fromDisk(session) : await fromServer(session, request, pointers)
  for (const pointer of pointers) {
    session.io.signal.throwIfAborted()
    await write(join(request.directory, pointer.path), pointer, read(pointer))
  }
}

async function findPointers(session: GitSession, { commit, listing, directory }: LfsRequest): Promise<Pointer[]> {
  if (!(await usesLfs(session, commit, listing))) return []
  const asked = listing.small.filter((path) => !path.includes('\ufffd'))
  const checked = await session.mustLocal(['check-attr', '-z', '--cached', '--stdin', 'filter'], {
    stdin: asked.map((path) => `${path}\0`).join(''),
  })
  const fields = checked.stdout.toString('utf8').split('\0')
  const pointers: Pointer[] = []
  for (let at = 0; at + 2 < fields.length; at += 3) {
    const path = fields[at] ?? ''
    if (fields[at + 2] !== 'lfs') continue
    const object = parsePointer(await readFile(join(directory, path), 'utf8'))
    if (object !== null) pointers.push({ path, ...object })
  }
  return pointers
}

async function usesLfs(session: GitSession, commit: string, listing: TreeListing): Promise<boolean> {
  for (const path of listing.attributes) {
    const file = await session.mustLocal(['cat-file', 'blob', `${commit}:${path}`])
    if (/\bfilter=lfs\b/.test(file.stdout.toString('utf8'))) return true
  }
  return false
}

function parsePointer(text: string): LfsObject | null {
  if (!text.startsWith('version https://git-lfs.github.com/spec/')) return null
  const oid = /^oid sha256:([0-9a-f]{64})$/m.exec(text)?.[1]
  const size = /^size (\d{1,15})$/m.exec(text)?.[1]
  return oid === undefined || size === undefined ? null : { oid, sizeBytes: Number(size) }
}

type Reader = (object: LfsObject) => AsyncIterable<Buffer>

/** A file: repository stores its LFS objects beside those of git. */
function fromDisk(session: GitSession): Reader {
  return async function* ({ oid }) {
    yield* createReadStream(
      join(session.transport.remote, 'lfs', 'objects', oid.slice(0, 2), oid.slice(2, 4), oid),
    ) as AsyncIterable<Buffer>
  }
}

async function fromServer(session: GitSession, { commit, listing }: LfsRequest, pointers: Pointer[]): Promise<Reader> {
  const server = openLfsServer(session, await endpoint(session, commit, listing))
  const wanted = [...new Map(pointers.map((pointer) => [pointer.oid, pointer])).values()]
  const downloads = await server.locate(wanted)
  return ({ oid }) => {
    const download = downloads.get(oid)
    if (download === undefined) throw sourceRejected(`The LFS server does not offer the object ${oid.slice(0, 12)}.`)
    return server.download(download)
  }
}

/** The URL of the LFS server: from `.lfsconfig`, or else below the URL of the repository. */
async function endpoint(session: GitSession, commit: string, listing: TreeListing): Promise<string> {
  if (listing.small.includes('.lfsconfig')) {
    const named = await session.local(['config', `--blob=${commit}:.lfsconfig`, '--get', 'lfs.url'])
    const url = named.stdout.toString('utf8').trim()
    const address = url === '' ? null : parseRepositoryUrl(url)
    if (address !== null && 'origin' in address) return address.remote.replace(/\/+$/, '')
    if (address !== null) throw sourceRejected('The LFS server in .lfsconfig does not have an http or https URL.')
  }
  if (session.transport.origin === null)
    throw sourceRejected(
      'The repository stores files in Git LFS, which can be fetched only over https.',
      'Use the https URL of the repository, with a token if it is private.',
    )
  const remote = session.transport.remote.replace(/\/+$/, '')
  return `${remote}${remote.endsWith('.git') ? '' : '.git'}/info/lfs`
}

/** Throws SOURCE_REJECTED if the content does not match the pointer. */
async function write(path: string, { oid, sizeBytes }: LfsObject, content: AsyncIterable<Buffer>): Promise<void> {
  if ((await realpath(dirname(path))) !== dirname(path)) throw sourceRejected('An LFS file must not be behind a symbolic link.')
  const mismatch = sourceRejected(`The LFS object ${oid.slice(0, 12)} is missing or does not match its pointer.`)
  const hash = createHash('sha256')
  let size = 0
  await using file = await open(path, 'r+')
  await file.truncate(0)
  try {
    for await (const chunk of content) {
      size += chunk.length
      if (size > sizeBytes) throw mismatch
      hash.update(chunk)
      await file.writeFile(chunk)
    }
  } catch (error) {
    throw (error as NodeJS.ErrnoException).code === 'ENOENT' ? mismatch : error
  }
  if (size !== sizeBytes || hash.digest('hex') !== oid) throw mismatch
}
