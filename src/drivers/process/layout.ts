/** The directories of the driver under DATA_DIR. No other code knows their names. */
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'

export type Layout = {
  dataDir: string
  /** One directory per release, named by the hex digits of its digest. */
  releases: string
  /** Temporary directories of builds and removals. Each one names the process that owns it. */
  work: string
  /** One directory per service. */
  caches: string
  /** One file per service with the size of its cache. Its modification time is that of the last build. */
  cacheSizes: string
  /** Programs that projects require in specific versions, one directory per version. */
  tools: string
  /** Cache of the npm registry for installing them. */
  toolCache: string
  /** One directory per instance: its runs and its output. */
  instances: string
  /** One directory per persistent disk: its data and who has it. */
  disks: string
  /** One file per reserved port, with the id of the instance. */
  ports: string
  /** Files that are shown in every sandbox, such as its /etc/passwd. */
  sandbox: string
}

export async function createLayout(dataDir: string): Promise<Layout> {
  const layout = {
    dataDir,
    releases: join(dataDir, 'releases'),
    work: join(dataDir, 'work'),
    caches: join(dataDir, 'caches'),
    cacheSizes: join(dataDir, 'cache-sizes'),
    tools: join(dataDir, 'tools'),
    toolCache: join(dataDir, 'tool-cache'),
    instances: join(dataDir, 'instances'),
    disks: join(dataDir, 'disks'),
    ports: join(dataDir, 'ports'),
    sandbox: join(dataDir, 'sandbox'),
  }
  for (const directory of Object.values(layout)) await mkdir(directory, { recursive: true, mode: 0o700 })
  return layout
}

/** Directory with the programs of a tool (tool.ts). */
export const programsOf = (directory: string): string => join(directory, 'node_modules/.bin')

/** Validates an id or name that becomes a file name. Throws TypeError for anything but letters, digits, `_`, `-` and inner dots. */
export function fileName(id: string): string {
  if (!/^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$/.test(id) || id.length > 100) throw new TypeError('The id cannot be used as a file name.')
  return id
}

const digestForm = /^sha256:([0-9a-f]{64})$/

/** The hex digits of a digest, or null if it is not a digest. */
export function digestHex(digest: string): string | null {
  return digestForm.exec(digest)?.[1] ?? null
}
