import { z } from 'zod'
import { administration } from '../../../platform/access.ts'
import { defineCommand, defineQuery } from '../../../platform/command.ts'
import { run, sql } from '../../../platform/db/index.ts'
import { lock } from '../../../platform/db/lock.ts'
import { readSetting } from '../../../platform/settings.ts'
import { changeable, type FieldName, fieldNames, settingsTopic } from './model.ts'
import { readSettings } from './store.ts'

/** A value that the setting accepts in the environment too. */
const accepted = <Schema extends z.ZodType>(field: FieldName, schema: Schema) =>
  schema
    .superRefine((value, context) => {
      const read = readSetting(changeable[field], value)
      if ('problem' in read) context.addIssue({ code: 'custom', message: read.problem })
    })
    .nullish()
const number = (field: FieldName) => accepted(field, z.number())

export const settingsInput = z.object({
  signUp: accepted('signUp', z.enum(['open', 'invited', 'off'])),
  organizationsPerOwner: number('organizationsPerOwner'),
  invitationExpiryMs: number('invitationExpiryMs'),
  storageMaxBuckets: number('storageMaxBuckets'),
  storageMaxBytes: number('storageMaxBytes'),
  emailDailyLimit: number('emailDailyLimit'),
  auditRetentionMs: number('auditRetentionMs'),
  logRetentionMs: number('logRetentionMs'),
  webhookRetentionMs: number('webhookRetentionMs'),
  mailRetentionMs: number('mailRetentionMs'),
} satisfies Record<FieldName, z.ZodType>)

export const adminSettings = defineQuery({
  name: 'adminSettings',
  description: 'Settings that can be changed while the program runs. For administrators of the installation.',
  permission: administration,
  ids: {},
  input: z.object({}),
  run: ({ app, tx }) => readSettings(app, tx),
})

export const updateSettings = defineCommand({
  name: 'updateSettings',
  description:
    'Changes settings of the installation, in all processes and without a restart. Omitted fields keep their value; null restores that of the environment. For administrators of the installation.',
  permission: administration,
  ids: {},
  targetType: null,
  input: settingsInput,
  emits: [],
  async run(work, input) {
    const { app, tx } = work
    await lock(tx, 'settings')
    const before = await readSettings(app, tx)
    for (const field of fieldNames) {
      const value = input[field]
      if (value === undefined) continue
      const name = changeable[field]
      if (value === null) await run(tx, sql`delete from runtime_setting where name = ${name}`)
      else
        await run(
          tx,
          sql`insert into runtime_setting (name, value) values (${name}, ${JSON.stringify(value)}::json)
              on conflict (name) do update set value = excluded.value, updated_at = app_now()`,
        )
    }
    work.wake(settingsTopic)
    return { settings: await readSettings(app, tx), before }
  },
  audited: (_input, { settings, before }) => ({
    changes: fieldNames
      .filter((field) => settings[field] !== before[field])
      .map((field) => ({ setting: changeable[field], before: before[field], after: settings[field] })),
  }),
})
