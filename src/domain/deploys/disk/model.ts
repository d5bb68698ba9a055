/** Rules for disks. All pure. */
import { z } from 'zod'

const MiB = 2 ** 20
export const sizeRange = { least: MiB, most: 16 * 2 ** 40 }
export const maxDisks = 5

/** Directories of the system, of Quayside, and those whose content instances expect to be their own. Nothing is mounted in or below them. */
const closed = new Set([
  ...['bin', 'boot', 'cache', 'dev', 'etc', 'lib', 'lib32', 'lib64', 'libx32', 'lost+found', 'proc'],
  ...['root', 'run', 'sbin', 'sys', 'tmp', 'tools', 'usr'],
])

/** Nothing is mounted at these paths, but below them. */
const occupied = new Set(['/app', '/home', '/home/app', '/media', '/mnt', '/opt', '/srv', '/var'])

/** Below /var, as in a usual Linux system. */
const closedOfVar = new Set(['/var/run', '/var/lock', '/var/tmp'])

/** Why a path is not possible for a disk; null if it is. */
export function mountPathProblem(path: string): string | null {
  if (!/^(\/[A-Za-z0-9._-]+)+$/.test(path)) return 'must be an absolute path of letters, digits and the characters . _ -, not ending with /'
  const parts = path.slice(1).split('/')
  if (parts.some((part) => part === '.' || part === '..')) return 'must not contain . or .. as a part'
  if (closed.has(parts[0]!) || [...closedOfVar].some((other) => isSameOrInside(other, path)))
    return `must not be in ${closed.has(parts[0]!) ? `/${parts[0]}` : parts.slice(0, 2).join('/')}, which is a directory of the system`
  if (occupied.has(path)) return 'must be a directory of its own, such as /data or /app/uploads'
  return null
}

/** Whether `path` is `directory` or below it. */
export const isSameOrInside = (directory: string, path: string): boolean => path === directory || path.startsWith(`${directory}/`)

/** Whether one of two disks would be mounted inside the other. */
export const areNested = (one: string, other: string): boolean => isSameOrInside(one, other) || isSameOrInside(other, one)

export const mountPathSchema = z
  .string()
  .max(200, { error: 'must be at most 200 characters' })
  .superRefine((path, context) => {
    const reason = mountPathProblem(path)
    if (reason) context.addIssue({ code: 'custom', message: reason })
  })

export const sizeSchema = z
  .number()
  .int()
  .min(sizeRange.least, { error: `must be at least ${sizeRange.least} (1 MiB)` })
  .max(sizeRange.most, { error: `must be at most ${sizeRange.most} (16 TiB)` })

/** Variable with the path of a disk as the service's instances see it. */
export const variableOf = (name: string): string => `QUAYSIDE_DISK_${name.toUpperCase().replaceAll('-', '_')}`
