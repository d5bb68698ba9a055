/** The one place where changed settings are read and written. A process has them in `app.settings`, beside those of the environment. */
import type { Chore } from '../../../platform/claim.ts'
import { rows, sql, type Tx } from '../../../platform/db/index.ts'
import { perApp } from '../../../platform/per-app.ts'
import { readSetting, type Settings } from '../../../platform/settings.ts'
import type { App } from '../../../platform/work.ts'
import { type ChangeableSettings, changeable, type FieldName, fieldNames, settingsTopic } from './model.ts'

/** The values of the environment, before any was changed. */
const environmentOf = perApp((app): Settings => ({ ...app.settings }))

/** The values that hold by what is stored. One that this version does not accept is logged and ignored. */
export async function readSettings(app: App, tx: Tx): Promise<ChangeableSettings> {
  const environment = environmentOf(app)
  const stored = new Map(
    (await rows<{ name: string; value: unknown }>(tx, sql`select name, value from runtime_setting`)).map(({ name, value }) => [
      name,
      value,
    ]),
  )
  const values: Record<string, unknown> = {}
  const changed: FieldName[] = []
  for (const field of fieldNames) {
    const name = changeable[field]
    values[field] = environment[name]
    if (!stored.has(name)) continue
    const read = readSetting(name, stored.get(name))
    if ('problem' in read) app.log.error({ setting: name, problem: read.problem }, 'a changed setting is not valid and is ignored')
    else {
      values[field] = read.value
      changed.push(field)
    }
  }
  return { ...values, changed } as ChangeableSettings
}

/** Makes this process use what is stored. */
export async function loadSettings(app: App): Promise<void> {
  const values = await readSettings(app, app.db)
  Object.assign(app.settings, Object.fromEntries(fieldNames.map((field) => [changeable[field], values[field]])))
}

/** Every process runs it, also one without jobs. A wake-up that is lost is made up for within a minute. */
export const followSettings: Chore = { name: 'follow settings', topic: settingsTopic, everyMs: 60_000, run: loadSettings }
