import { builder, type InputBuilder, mutation, payloadOf } from '../../../graphql/builder/index.ts'
import { administration } from '../../../platform/access.ts'
import { adminSettings, updateSettings } from './commands.ts'
import type { ChangeableSettings } from './model.ts'

const SignUp = builder.enumType('SignUp', {
  description: 'Who can create an account.',
  values: {
    OPEN: { value: 'open', description: 'Anyone.' },
    INVITED: { value: 'invited', description: 'People with an invitation.' },
    OFF: { value: 'off', description: 'Nobody.' },
  } as const,
})

/** Counts, and numbers that may exceed the range of Int. */
const counts = {
  organizationsPerOwner: 'Maximum number of organizations that one user may own.',
  storageMaxBuckets: 'Maximum number of buckets of one organization.',
  emailDailyLimit: 'Maximum number of recipients per day (UTC) that one organization may send mail to.',
} as const
const amounts = {
  invitationExpiryMs: 'How long an invitation can be accepted, in milliseconds. Applies to new invitations.',
  storageMaxBytes: 'Maximum size of the objects of one organization, in bytes.',
  auditRetentionMs: 'Maximum age of audit entries, in milliseconds.',
  logRetentionMs: 'Maximum age of log lines, in milliseconds.',
  webhookRetentionMs: 'Maximum age of payloads and response bodies of webhooks, in milliseconds.',
  mailRetentionMs: 'Maximum age of records of mails, in milliseconds.',
} as const
const signUp = 'Who can create an account.'

const each = <Value>(names: Record<string, string>, make: (name: string, description: string) => Value): Record<string, Value> =>
  Object.fromEntries(Object.entries(names).map(([name, description]) => [name, make(name, description)]))

const AdminSettings = builder.objectRef<ChangeableSettings>('AdminSettings').implement({
  description: 'Settings of the installation that can be changed while it runs.',
  permission: administration,
  fields: (t) => ({
    signUp: t.expose('signUp', { type: SignUp, description: signUp }),
    ...each(counts, (name, description) => t.exposeInt(name as keyof typeof counts, { description })),
    ...each(amounts, (name, description) => t.exposeFloat(name as keyof typeof amounts, { description })),
    changed: t.exposeStringList('changed', {
      description: 'Names of the fields that were changed. Others have the value of the environment.',
    }),
  }),
})

builder.queryField('adminSettings', (t) =>
  t.field({
    type: AdminSettings,
    description: adminSettings.description,
    resolve: (_root, _args, context) => context.call(adminSettings, {}),
  }),
)

mutation(updateSettings, {
  input: (t: InputBuilder) => ({
    signUp: t.field({ type: SignUp, description: signUp }),
    ...each(counts, (_name, description) => t.int({ description })),
    ...each(amounts, (_name, description) => t.float({ description })),
  }),
  payload: payloadOf('settings', AdminSettings, 'The settings that are in effect now.'),
})
