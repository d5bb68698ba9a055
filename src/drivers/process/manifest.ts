/** Reads small files of an untrusted tree. */
import { lstat, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { PortError } from '../../platform/errors.ts'

const smallBytes = 1 << 20

/** Null for a file that is missing, not a regular file, or too large. */
export async function readSmall(path: string, maxBytes = smallBytes): Promise<string | null> {
  const found = await lstat(path).catch(() => null)
  return found?.isFile() && found.size <= maxBytes ? await readFile(path, 'utf8') : null
}

/** package.json; null if there is none. Throws PortError BUILD_NOT_DETECTED if it is not valid. */
export async function readManifest(directory: string): Promise<Record<string, unknown> | null> {
  const text = await readSmall(join(directory, 'package.json'))
  if (text === null) return null
  try {
    const parsed: unknown = JSON.parse(text.replace(/^\ufeff/, ''))
    if (isRecord(parsed)) return parsed
  } catch {}
  throw new PortError('BUILD_NOT_DETECTED', 'package.json is not a JSON object.', { hint: 'Correct package.json.' })
}

export async function isFile(path: string): Promise<boolean> {
  return (await lstat(path).catch(() => null))?.isFile() ?? false
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
