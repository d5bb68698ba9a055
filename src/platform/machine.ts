/** What can be said of the machine that this process runs on. */
import { readFile, statfs } from 'node:fs/promises'
import { availableParallelism, machine, release, type } from 'node:os'
import { machineCapacity } from './process-usage.ts'

export type MachineFacts = {
  cpuCores: number
  ramTotalBytes: number
  diskTotalBytes: number | null
  diskFreeBytes: number | null
  osName: string
  osVersion: string | null
  kernel: string
  architecture: string
}

/** In a container, its limits of memory and CPUs count. The disk is the one that a directory is on. */
export async function readMachineFacts(directory: string): Promise<MachineFacts> {
  const [disk, os] = await Promise.all([statfs(directory).catch(() => null), readOsRelease()])
  return {
    cpuCores: availableParallelism(),
    ramTotalBytes: machineCapacity().memoryBytes,
    diskTotalBytes: disk && disk.blocks * disk.bsize,
    diskFreeBytes: disk && disk.bavail * disk.bsize,
    osName: os?.name ?? type(),
    osVersion: os?.version ?? null,
    kernel: `${type()} ${release()}`,
    architecture: machine(),
  }
}

async function readOsRelease(): Promise<{ name: string | null; version: string | null } | null> {
  const text = await readFile('/etc/os-release', 'utf8').catch(() => null)
  return text === null ? null : parseOsRelease(text)
}

/** Name and version of an operating system, from the text of os-release(5). Null where it has none. */
export function parseOsRelease(text: string): { name: string | null; version: string | null } {
  const textOf = (key: string) => new RegExp(`^${key}=(["']?)(.*)\\1\\s*$`, 'm').exec(text)?.[2] || null
  return { name: textOf('NAME'), version: textOf('VERSION_ID') }
}
