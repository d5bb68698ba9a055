/**
 * Writes files atomically: a reader sees a complete file or none, even if the writer is killed. The content is written to a draft, readable
 * by its owner only, which then replaces the file.
 */
import { randomBytes } from 'node:crypto'
import { link, open, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'

export type WholeFileOptions = {
  /** Path of the draft, by default a new one next to the file. A process that is killed while writing leaves it behind. */
  draft?: string
  /** Whether the file must survive a power failure once the call has returned. Defaults to true. */
  durable?: boolean
}

type Content = string | Uint8Array

/** Writes a file, replacing an existing one. */
export async function writeWhole(path: string, content: Content, options: WholeFileOptions = {}): Promise<void> {
  await place(path, content, options, rename)
}

/** Writes a file unless it exists. Returns false, and leaves the existing one, if another process was faster. */
export async function createWhole(path: string, content: Content, options: WholeFileOptions = {}): Promise<boolean> {
  try {
    // Unlike a rename, a link never replaces a file.
    await place(path, content, options, link)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  }
}

async function place(
  path: string,
  content: Content,
  { draft = `${path}.${randomBytes(6).toString('hex')}.draft`, durable = true }: WholeFileOptions,
  move: (from: string, to: string) => Promise<void>,
): Promise<void> {
  try {
    const file = await open(draft, 'w', 0o600)
    try {
      await file.writeFile(content)
      if (durable) await file.sync()
    } finally {
      await file.close()
    }
    await move(draft, path)
  } finally {
    await rm(draft, { force: true })
  }
  if (durable) await syncDirectory(dirname(path))
}

async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r')
  try {
    await directory.sync()
  } finally {
    await directory.close()
  }
}
