import { createHash } from 'node:crypto'
import { dirname, join } from 'node:path'
import { type Cluster, findInstallation } from './cluster.ts'
import { findPrograms } from './program.ts'

/** The control plane's own cluster. `root` is the real path of `DATA_DIR/postgres`. */
export async function findPlace(root: string, unshare: string): Promise<Cluster> {
  const dataDir = dirname(root)
  const { major } = await findPrograms()
  const data = join(root, major)
  const installation = await findInstallation({ root, dataDir, data, unshare })
  return { ...installation, data, draft: join(root, 'new'), log: join(root, 'server.log'), socketDir: socketDirOf(dataDir), port: 5432 }
}

/** Sockets cannot be in DATA_DIR, because the path of a socket is limited to 107 bytes. */
export const socketDirOf = (dataDir: string, suffix = ''): string =>
  join('/tmp', `quayside-${createHash('sha256').update(dataDir).digest('hex').slice(0, 16)}${suffix}`)
