/**
 * Private requests: a signed header selects one instance (or a static release) regardless of the route table. Health checks use it to
 * reach a release before visitors do. All processes of one data directory share the key.
 */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import { mkdir, readFile } from 'node:fs/promises'
import type { IncomingMessage } from 'node:http'
import { join } from 'node:path'
import type { PrivateTarget } from '../../domain/deploys/instance/ports.ts'
import { createWhole } from '../../platform/whole-file.ts'
import { privateHeader } from './header.ts'

export type PrivateRoutes = {
  /** Value of the header for a target. */
  seal(target: PrivateTarget): string
  /** Target of a request. Null without the header or with an invalid signature. */
  open(request: IncomingMessage): PrivateTarget | null
}

const keyBytes = 32

/** Reads the key of `dataDir`, or creates it. Of several processes that start together, one key wins. */
export async function openPrivateRoutes(dataDir: string): Promise<PrivateRoutes> {
  const file = join(dataDir, 'router.key')
  await mkdir(dataDir, { recursive: true, mode: 0o700 })
  await createWhole(file, randomBytes(keyBytes))
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
