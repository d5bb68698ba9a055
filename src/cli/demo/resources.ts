/** The story of an accident: a service loses its table, and gets it back from a second before, in another database. */
import { join } from 'node:path'
import { filesOf } from '../../../test/support/git-repository.ts'
import { call } from './client.ts'
import { ensure } from './report.ts'
import { type Chapter, deploy, liveEndOf, type Stage, until } from './stage.ts'

export const chapter: Chapter = {
  about: 'database, backup, an accident, restore to the second before, services moved to the restored database',
  parts(stage) {
    const story: Story = { databaseId: '', before: '', restoredId: '' }
    return [
      { name: 'Create a database', show: () => createDatabase(stage, story) },
      { name: 'Deploy the app with it', show: () => deployApp(stage, story) },
      { name: 'Back up and verify', show: () => backUp(stage, story) },
      { name: 'Drop the table', show: () => dropTable(stage, story) },
      { name: 'Restore the second before', show: () => restore(stage, story) },
      { name: 'Move the app', show: () => moveApp(stage, story) },
    ]
  },
}

type Story = { databaseId: string; before: string; restoredId: string }

const slowMs = 120_000
const rows = 1_000

const sampleApp = join(import.meta.dirname, '../../../test/support/apps/database')

async function createDatabase({ client, projectId, report }: Stage, story: Story): Promise<string> {
  const started = performance.now()
  const made = await client.ask<{ createDatabase: { database: { id: string } } }>(
    'mutation ($p: ID!) { createDatabase(input: { projectId: $p, name: "Orders" }) { database { id } } }',
    { p: projectId },
  )
  story.databaseId = made.createDatabase.database.id
  await running({ client }, story.databaseId)
  report.say(`  ${story.databaseId} is running`)
  return `running after ${seconds(started)}`
}

type Asking = Pick<Stage, 'client'>

async function running({ client }: Asking, id: string): Promise<void> {
  const status = async () =>
    (await client.ask<{ database: { status: string } }>('query ($id: ID!) { database(id: $id) { status } }', { id })).database.status
  await until('the database is running', async () => (await status()) === 'RUNNING', slowMs)
}

const seconds = (started: number): string => `${((performance.now() - started) / 1000).toFixed(1)} s`

async function deployApp(stage: Stage, { databaseId }: Story): Promise<string> {
  const { client, repository, service } = stage
  await repository.commit({ ...(await filesOf(sampleApp)), 'package-lock.json': null }, 'An app with a database')
  await client.ask(
    `mutation ($s: ID!, $d: ID!) {
       updateWebService(input: { id: $s, buildCommand: "npm install --no-audit --no-fund" }) { webService { id } }
       connectDatabase(input: { databaseId: $d, webServiceId: $s }) { resourceBinding { id } } }`,
    { s: service.id, d: databaseId },
  )
  await liveEndOf(stage, await deploy(stage))
  return `live, with DATABASE_URL`
}

const request = async ({ service, report }: Stage, path: string): Promise<string> => {
  const { status, body } = await call(service.url, path)
  report.say(`  GET ${path} -> ${status} ${body.trim()}`)
  return `${status} ${body.trim()}`
}

async function backUp({ client }: Stage, { databaseId }: Story): Promise<string> {
  const started = performance.now()
  const { createBackup } = await client.ask<{ createBackup: { backup: { id: string } } }>(
    'mutation ($d: ID!) { createBackup(input: { databaseId: $d }) { backup { id } } }',
    { d: databaseId },
  )
  type Backup = { status: string; error: string | null; sizeBytes: number }
  const read = async () =>
    (
      await client.ask<{ backup: Backup }>('query ($id: ID!) { backup(id: $id) { status error sizeBytes } }', {
        id: createBackup.backup.id,
      })
    ).backup
  await until('the backup is verified', async () => ['VERIFIED', 'FAILED'].includes((await read()).status), slowMs)
  const { status, error, sizeBytes } = await read()
  ensure(status === 'VERIFIED', `The backup is ${status}: ${error}`)
  return `verified after ${seconds(started)}, ${(sizeBytes / 1e6).toFixed(1)} MB`
}

async function dropTable(stage: Stage, story: Story): Promise<string> {
  ensure((await request(stage, '/write')) === '200 done', 'The rows could not be written.')
  ensure((await request(stage, '/count')) === `200 ${rows}`, 'The rows are not there.')
  story.before = new Date().toISOString()
  ensure((await request(stage, '/drop')) === '200 done', 'The table could not be dropped.')
  ensure((await request(stage, '/count')).startsWith('500'), 'The table is still there.')
  return `${rows} rows lost`
}

async function restore({ client, report }: Stage, story: Story): Promise<string> {
  const started = performance.now()
  type Restored = { database: { id: string }; operation: { id: string } }
  const { restoreDatabase } = await client.ask<{ restoreDatabase: Restored }>(
    'mutation ($d: ID!, $at: DateTime!) { restoreDatabase(input: { databaseId: $d, at: $at, name: "Orders before" }) { database { id } operation { id } } }',
    { d: story.databaseId, at: story.before },
  )
  story.restoredId = restoreDatabase.database.id
  type Progress = { operation: { status: string; error: string | null; stepsCompleted: number; totalSteps: number } }
  let seen = ''
  await until(
    'the restore has ended',
    async () => {
      const { operation } = await client.ask<Progress>(
        'query ($id: ID!) { operation(id: $id) { status error stepsCompleted totalSteps } }',
        {
          id: restoreDatabase.operation.id,
        },
      )
      const now = `  ${operation.status}, step ${operation.stepsCompleted} of ${operation.totalSteps}`
      if (now !== seen) report.say(now)
      seen = now
      ensure(operation.status !== 'FAILED', `The restore failed: ${operation.error}`)
      return operation.status === 'COMPLETED'
    },
    slowMs,
  )
  return `${story.before} restored after ${seconds(started)}`
}

async function moveApp(stage: Stage, { databaseId, restoredId }: Story): Promise<string> {
  const { client } = stage
  const { replaceDatabase } = await client.ask<{ replaceDatabase: { resourceBindings: unknown[] } }>(
    'mutation ($from: ID!, $to: ID!) { replaceDatabase(input: { fromDatabaseId: $from, toDatabaseId: $to }) { resourceBindings { id } } }',
    { from: databaseId, to: restoredId },
  )
  await liveEndOf(stage, await deploy(stage))
  ensure((await request(stage, '/count')) === `200 ${rows}`, 'The app does not show the rows.')
  return `${replaceDatabase.resourceBindings.length} binding moved, the app shows ${rows} rows`
}
