/** A PostgreSQL server with a TCP port, as an operator of Quayside may have one. */
import { mkdir, mkdtemp, readFile, realpath, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Cluster, findInstallation, initialData, startCluster, stopCluster } from '../../src/drivers/postgres/cluster.ts'
import { socketDirOf } from '../../src/drivers/postgres/place.ts'
import { openConnection } from '../../src/platform/db/connection.ts'

export type PostgresServer = {
  /** URL of its superuser. */
  superuserUrl: string
  /** URL of a role that may create roles and databases, and is no superuser. */
  adminUrl: string
  start(): Promise<void>
  stop(): Promise<void>
  log(): Promise<string>
  /** Stops the server and removes its data. */
  close(): Promise<void>
}

/** Starts a new server, which logs all statements. */
export async function openPostgresServer(port: number): Promise<PostgresServer> {
  const folder = await realpath(await mkdtemp(join(tmpdir(), 'quayside-test-')))
  const root = join(folder, 'server')
  await mkdir(root)
  const data = join(root, 'data')
  const installation = await findInstallation({ root, dataDir: folder, data, unshare: 'unshare' })
  await installation.account.adopt(root)
  const log = join(root, 'log')
  const cluster: Cluster = { ...installation, data, draft: join(root, 'new'), log, socketDir: socketDirOf(root), port }
  const start = async () => {
    await startCluster(cluster, {
      settings: { listen_addresses: '127.0.0.1', fsync: 'off', log_statement: 'all', shared_buffers: '16MB' },
      access: 'local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n',
      create: (draft) => initialData(cluster, draft, ['--username=root', '--auth=trust']),
    })
  }
  await start()
  const session = await openConnection(`postgresql://root@localhost:${port}/postgres?host=${encodeURIComponent(cluster.socketDir)}`)
  await session.run("alter role root password 'root-password'; create role admin login createrole createdb password 'admin-password'")
  await session.close()
  const stop = () => stopCluster(cluster)
  return {
    superuserUrl: `postgresql://root:root-password@127.0.0.1:${port}`,
    adminUrl: `postgresql://admin:admin-password@127.0.0.1:${port}`,
    start,
    stop,
    log: () => readFile(log, 'utf8'),
    async close() {
      await stop()
      await rm(folder, { recursive: true, force: true })
    },
  }
}
