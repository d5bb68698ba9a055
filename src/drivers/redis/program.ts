/** The Redis server that is installed on this machine: Redis itself, or Valkey, which behaves alike. */
import { execFile } from 'node:child_process'
import { access, constants } from 'node:fs/promises'
import { join } from 'node:path'

export type Program = { file: string; version: string }

/** Finds the program. Returns a text that says why there is none, and how to install it. Looks again at most once in a few seconds. */
export type FindProgram = () => Promise<Program | string>

/** Earlier versions do not limit the memory of connections. */
const oldestMajor = 7
const lookEveryMs = 3_000

export function createProgramFinder(hostPath: string): FindProgram {
  const directories = hostPath.split(':').filter((directory) => directory.startsWith('/'))
  let last: { at: number; found: Promise<Program | string> } | undefined
  return () => {
    const now = performance.now()
    if (last === undefined || now - last.at > lookEveryMs) last = { at: now, found: look(directories) }
    return last.found
  }
}

async function look(directories: string[]): Promise<Program | string> {
  const old: string[] = []
  for (const name of ['redis-server', 'valkey-server']) {
    const file = await fileOf(name, directories)
    const version = file === null ? null : await versionOf(file)
    if (file === null || version === null) continue
    if (Number.parseInt(version, 10) >= oldestMajor) return { file, version }
    old.push(`${name} ${version} is installed, but version ${oldestMajor} or newer is required.`)
  }
  const what = old[0] ?? 'Neither redis-server nor valkey-server is installed on this machine.'
  return `${what} ${await adviceFor(directories)}`
}

async function fileOf(name: string, directories: string[]): Promise<string | null> {
  for (const directory of directories) {
    const file = join(directory, name)
    if (
      await access(file, constants.X_OK).then(
        () => true,
        () => false,
      )
    )
      return file
  }
  return null
}

/** Null if the program cannot be run. */
function versionOf(file: string): Promise<string | null> {
  return new Promise((resolve) => {
    execFile(file, ['--version'], { timeout: 5_000, env: {} }, (error, output) => {
      resolve(error ? null : (/ v=(\d+\.\d+\.\d+)/.exec(output)?.[1] ?? null))
    })
  })
}

/** By package manager, in the order in which they are looked for. */
const installCommands = {
  'apt-get': 'apt-get update && apt-get install -y redis-server',
  dnf: 'dnf install -y valkey',
  apk: 'apk add redis',
  zypper: 'zypper install -y redis',
  pacman: 'pacman -S --noconfirm valkey',
}

async function adviceFor(directories: string[]): Promise<string> {
  for (const [manager, command] of Object.entries(installCommands))
    if ((await fileOf(manager, directories)) !== null) return `To install it, run as root: ${command}`
  return `Install redis-server or valkey-server, version ${oldestMajor} or newer.`
}
