/** The programs of the host that builds can use: its PATH without Quayside's own entries, and the required directories outside /usr. */
import { open, realpath } from 'node:fs/promises'
import { homedir } from 'node:os'
import { basename, delimiter, dirname, isAbsolute, join } from 'node:path'
import { isInside } from './tree.ts'

export type Toolchain = {
  /** PATH for a process without a sandbox. */
  hostPath: string
  /** PATH for a process in a sandbox with `systemDirectories` and `directories`. */
  sandboxPath: string
  /** Further directories that must be visible in the sandbox. */
  directories: string[]
}

export const systemDirectories = ['/usr', '/bin', '/sbin', '/lib', '/lib32', '/lib64', '/libx32']

const systemPath = ['/usr/local/bin', '/usr/bin', '/bin']
const interpreters = ['node', 'python3', 'bun', 'deno', 'ruby', 'go', 'java']

/**
 * Reads a PATH. An interpreter installed by nvm or a similar tool is visible with its whole prefix (`bin` and `lib`), unless the prefix
 * contains one of `hidden` or the home directory. Scripts in place of an interpreter (pyenv's shims) are ignored, because they need the
 * rest of the home directory.
 */
export async function readToolchain(path: string, hidden: string[]): Promise<Toolchain> {
  const entries = path.split(delimiter).filter((entry) => isAbsolute(entry) && !/(^|\/)node_modules\/\.bin\/?$/.test(entry))
  const directories = new Set<string>()
  const visible: string[] = []
  for (const entry of entries) {
    if (isSystem(entry)) visible.push(entry)
    for (const interpreter of interpreters) {
      const program = await binary(join(entry, interpreter))
      if (program === null || isSystem(program)) continue
      const bin = dirname(program)
      const prefix = basename(bin) === 'bin' ? dirname(bin) : bin
      const shown = [prefix, bin].find((directory) => [homedir(), ...hidden].every((secret) => !isInside(directory, secret)))
      if (shown === undefined) continue
      directories.add(shown)
      if (!visible.includes(bin)) visible.push(bin)
    }
  }
  const hostPath = unique([...entries, ...systemPath]).join(delimiter)
  return { hostPath, sandboxPath: unique([...visible, ...systemPath]).join(delimiter), directories: [...directories] }
}

function isSystem(path: string): boolean {
  return systemDirectories.some((directory) => isInside(directory, path))
}

async function binary(path: string): Promise<string | null> {
  try {
    const real = await realpath(path)
    const file = await open(real)
    try {
      const { buffer } = await file.read(Buffer.alloc(4), 0, 4, 0)
      return buffer.toString('latin1') === '\x7fELF' ? real : null
    } finally {
      await file.close()
    }
  } catch {
    return null
  }
}

function unique(list: string[]): string[] {
  return [...new Set(list)]
}
