/** Bodies that need more than a row. A few statements for any number of rows. */
import type { z } from 'zod'
import { type EnvironmentOverview, environmentOverviews } from '../../domain/deploys/deployment/index.ts'
import { errors } from '../../platform/errors.ts'
import type { View } from '../core/index.ts'
import { type EnvironmentRow, environmentBody, type schemas } from './bodies.ts'

type Seen = { row: EnvironmentRow; seen: EnvironmentOverview }

/** An environment that was removed since it was read is left out. */
export async function withOverviews(rows: readonly EnvironmentRow[], { ask }: View): Promise<Seen[]> {
  const overviews = await ask(environmentOverviews, { ids: rows.map(({ id }) => id) })
  return rows.flatMap((row) => {
    const seen = overviews.get(row.id)
    return seen ? [{ row, seen }] : []
  })
}

export const environmentBodies = async (rows: readonly EnvironmentRow[], view: View): Promise<z.output<typeof schemas.environment>[]> =>
  (await withOverviews(rows, view)).map(({ row, seen }) => environmentBody(row, seen))

/** Throws `not_found` if the environment was removed since it was read. */
export async function oneEnvironment(row: EnvironmentRow, view: View): Promise<z.output<typeof schemas.environment>> {
  const [body] = await environmentBodies([row], view)
  if (!body) throw errors.not_found()
  return body
}
