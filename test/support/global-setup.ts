import { dirname, join } from 'node:path'
import type { TestProject } from 'vitest/node'
import { startScratchPostgres } from '../../src/cli/scratch-postgres.ts'
import { createDatabase } from '../../src/platform/db/database.ts'
import { migrate } from '../../src/platform/db/migrate.ts'
import { useScratchFolder } from './scratch-folder.ts'

declare module 'vitest' {
  interface ProvidedContext {
    postgresUrl: string
    templateName: string
  }
}

/** One temporary folder and one PostgreSQL server for the whole run, with a migrated database that each test file copies. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  // Outside the folder, because PostgreSQL may run as another user. It removes its own files.
  const postgres = await startScratchPostgres()
  const endFolder = await useScratchFolder()
  const template = await createDatabase(postgres.url, 'template')
  await migrate({ url: template, directory: join(dirname(dirname(import.meta.dirname)), 'prisma', 'migrations') })
  project.provide('postgresUrl', postgres.url)
  project.provide('templateName', 'template')
  return async () => {
    await endFolder()
    await postgres.end()
  }
}
