/** Where the driver keeps what under DATA_DIR. Nothing outside this folder of the code knows these names. */
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'

export type Layout = {
  dataDir: string
  /** One directory per release, named by the hex digits of its digest. */
  releases: string
  /** What is being built or removed; each directory names the process that owns it. */
  work: string
  /** One directory per service. */
  caches: string
  /** One file per service: the size of its cache, as old as its last build. */
  cacheSizes: string
  /** Programs that projects want in a version of their own, one directory for each version. */
  tools: string
  /** What installs those keeps of the registry. */
  toolCache: string
  /** One directory per instance: its runs and its output. */
  instances: string
  /** One file per reserved port, holding the id of the instance. */
  ports: string
  /** Files that every sandbox shows, such as its /etc/passwd. */
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
    ports: join(dataDir, 'ports'),
    sandbox: join(dataDir, 'sandbox'),
  }
  for (const directory of Object.values(layout)) await mkdir(directory, { recursive: true, mode: 0o700 })
  return layout
}

/** Where the programs of a tool (tool.ts) lie below its directory. */
export const programsOf = (directory: string): string => join(directory, 'node_modules/.bin')

/** Guards every id that becomes a file name. Throws TypeError for anything but letters, digits, `_` and `-`. */
export function fileName(id: string): string {
  if (!/^[A-Za-z0-9_-]{1,100}$/.test(id)) throw new TypeError('This id cannot name a file')
  return id
}

const digestForm = /^sha256:([0-9a-f]{64})$/

/** The hex digits of a digest, or null where it is none. */
export function digestHex(digest: string): string | null {
  return digestForm.exec(digest)?.[1] ?? null
}
