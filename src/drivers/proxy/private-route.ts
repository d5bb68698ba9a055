/**
 * The way past the table: a header that names one instance (or a static release), which nobody can write without the key. A release is
 * seen to answer by it before any visitor is sent there. All processes on one data directory share the key.
 */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import { link, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import type { IncomingMessage } from 'node:http'
import { join } from 'node:path'
import type { PrivateTarget } from '../../domain/deploys/instance/ports.ts'
import { privateHeader } from './header.ts'

export type PrivateRoutes = {
  /** The header's value. */
  seal(target: PrivateTarget): string
  /** What a request names by the header; null without it, and for one that was not sealed here. */
  open(request: IncomingMessage): PrivateTarget | null
}

const keyBytes = 32

/** Reads the key of `dataDir`, or makes it. */
export async function openPrivateRoutes(dataDir: string): Promise<PrivateRoutes> {
  const file = join(dataDir, 'router.key')
  const draft = `${file}.${process.pid}`
  await mkdir(dataDir, { recursive: true, mode: 0o700 })
  await writeFile(draft, randomBytes(keyBytes), { mode: 0o600 })
  try {
    // A link, because of several processes that start together one key must win, and be whole from the start.
    await link(draft, file)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  } finally {
    await rm(draft, { force: true })
  }
  return createPrivateRoutes(await readFile(file))
}

export function createPrivateRoutes(key: Buffer): PrivateRoutes {
  const macOf = (content: string) => createHmac('sha256', key).update(content).digest()
  return {
    seal(target) {
      const content = Buffer.from(JSON.stringify(target)).toString('base64url')
      return `${content}.${macOf(content).toString('base64url')}`
    },
    open(request) {
      const [content, mac] = [request.headers[privateHeader]].flat()[0]?.split('.') ?? []
      if (content === undefined || mac === undefined) return null
      const [given, right] = [Buffer.from(mac, 'base64url'), macOf(content)]
      if (given.length !== right.length || !timingSafeEqual(given, right)) return null
      return JSON.parse(Buffer.from(content, 'base64url').toString()) as PrivateTarget
    },
  }
}
