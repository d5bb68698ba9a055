/** The facts of a machine: one small script for a POSIX shell, and what its output says. */
import type { ServerFacts } from '../../domain/apps/server/ports.ts'
import { parseOsRelease } from '../../platform/machine.ts'

/**
 * Begin and end tell the output from what the login shell or a banner prints. Each tool may be missing; its line is then empty. The script is
 * sent to the standard input of `sh`, so that it needs no quoting for the login shell of the account.
 */
export const factsScript = (mark: string): string => `
PATH=$PATH:/usr/bin:/bin:/usr/sbin:/sbin; LC_ALL=C; export PATH LC_ALL
echo; echo ${mark}-begin
{
echo "kernel=$(uname -sr)"
echo "machine=$(uname -m)"
echo "cpus=$(getconf _NPROCESSORS_ONLN || nproc || grep -c ^processor /proc/cpuinfo || sysctl -n hw.ncpu)"
echo "memory=$(grep ^MemTotal: /proc/meminfo || sysctl -n hw.memsize || sysctl -n hw.physmem)"
echo "disk=$(df -Pk / | tail -n 1)"
if [ -r /etc/os-release ]; then cat /etc/os-release; else cat /usr/lib/os-release; fi | head -n 40
} 2>/dev/null
echo; echo ${mark}-end
`

const maxText = 100

/** Null unless the output is complete. Whatever is not as expected is null. */
export function parseFacts(output: string, mark: string): ServerFacts | null {
  const text = new RegExp(`^${mark}-begin\\r?\\n(.*)^${mark}-end\\r?$`, 'ms').exec(output)?.[1]
  if (text === undefined) return null
  const textOf = (key: string) => new RegExp(`^${key}=(.*)$`, 'm').exec(text)?.[1] ?? ''
  const [, totalKb, , freeKb] = /^\S.*?\s(\d+)\s+(\d+)\s+(\d+)\s+-?\d+%\s+\//.exec(textOf('disk')) ?? []
  const kernel = plain(textOf('kernel'))
  const os = parseOsRelease(text)
  return {
    cpuCores: integer(textOf('cpus'), 1, 100_000),
    ramTotalBytes: memoryOf(textOf('memory')),
    diskTotalBytes: bytes(totalKb, 1024),
    diskFreeBytes: bytes(freeKb, 1024),
    osName: plain(os.name ?? '') ?? kernel?.split(' ')[0] ?? null,
    osVersion: plain(os.version ?? ''),
    kernel,
    architecture: plain(textOf('machine')),
  }
}

/** `MemTotal: 1024 kB` of Linux, or bytes. */
function memoryOf(text: string): number | null {
  const [, kilobytes] = /^MemTotal:\s+(\d+) kB/.exec(text) ?? []
  return kilobytes === undefined ? bytes(text, 1) : bytes(kilobytes, 1024)
}

const bytes = (text: string | undefined, unit: number): number | null => {
  const count = integer(text, 0, Number.MAX_SAFE_INTEGER)
  return count === null || !Number.isSafeInteger(count * unit) ? null : count * unit
}

function integer(text: string | undefined, least: number, most: number): number | null {
  const value = /^\d{1,16}$/.test(text?.trim() ?? '') ? Number(text) : Number.NaN
  return value >= least && value <= most ? value : null
}

/** Text of a machine that anybody may control, for people. */
const plain = (text: string): string | null =>
  text
    .replace(/[^\x20-\x7e]/g, '')
    .trim()
    .slice(0, maxText) || null
