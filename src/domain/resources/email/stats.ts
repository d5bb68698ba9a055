/** Numbers of the mail of services and organizations. They are read from counters, never by counting messages. */
import { z } from 'zod'
import { defineQuery } from '../../../platform/command.ts'
import { raw, row, rows, sql, type Tx } from '../../../platform/db/index.ts'
import { emailServiceListing } from './queries.ts'

export type EmailStats = {
  sent: number
  delivered: number
  bounced: number
  complained: number
  opened: number
  clicked: number
  failed: number
}

/** A window of whole hours: from the hour that `since` is in to the last hour that begins before `until`. */
export const windowSchema = z
  .object({ since: z.date().nullish(), until: z.date().nullish() })
  .refine(({ since, until }) => !since || !until || since < until, { error: 'must be after the start of the window', path: ['until'] })
export type Window = z.infer<typeof windowSchema>

/** The sums of many services, in order. */
export async function statsOf(tx: Tx, ids: readonly string[], { since, until }: Window): Promise<EmailStats[]> {
  const sum = (name: keyof EmailStats) => sql`coalesce(sum(c.${raw(name)}), 0)::int`
  const found = await rows<EmailStats>(
    tx,
    sql`select ${sum('sent')} as sent, ${sum('delivered')} as delivered, ${sum('bounced')} as bounced, ${sum('complained')} as complained,
               ${sum('opened')} as opened, ${sum('clicked')} as clicked, ${sum('failed')} as failed
        from unnest(${ids}::uuid[]) with ordinality as s(id, n) left join email_count c on c.email_service_id = s.id
             and (${since ?? null}::timestamptz is null or c.hour >= date_trunc('hour', ${since ?? null}::timestamptz, 'UTC'))
             and (${until ?? null}::timestamptz is null or c.hour < ${until ?? null}::timestamptz)
        group by s.n order by s.n`,
  )
  return found
}

export const emailStats = defineQuery({
  name: 'emailStats',
  description: 'Numbers of the mail of an email service in a window of whole hours. Null if the service does not exist.',
  permission: 'view:email',
  ids: { emailServiceId: 'EmailService' },
  input: z.object({ emailServiceId: z.string() }).and(windowSchema),
  async run(read, { emailServiceId, ...window }): Promise<EmailStats | null> {
    const service = await emailServiceListing.findOne({ ...read, columns: ['id'] }, sql`t.id = ${emailServiceId}::uuid`)
    return service && (await statsOf(read.tx, [service.id], window))[0]!
  },
})

export type EmailTenant = { serviceCount: number; domainCount: number; sentToday: number; sentThisMonth: number; dailyLimit: number }

export const emailTenant = defineQuery({
  name: 'emailTenant',
  description: 'Email of the organization: its services and domains, and the recipients that it sent mail to.',
  permission: 'view:email',
  ids: {},
  input: z.object({}),
  async run({ app, tx, caller }): Promise<EmailTenant> {
    const mine = sql`organization_id = ${caller.organizationId}::uuid and ${caller.projectIds === null}`
    const today = sql`(app_now() at time zone 'UTC')::date`
    const numbers = (await row<Omit<EmailTenant, 'dailyLimit'>>(
      tx,
      sql`select (select count(*)::int from email_service where ${mine}) as service_count,
                 (select count(*)::int from sending_domain where ${mine}) as domain_count,
                 (select coalesce(sum(sent), 0)::int from email_usage where ${mine} and day = ${today}) as sent_today,
                 (select coalesce(sum(sent), 0)::int from email_usage where ${mine} and day >= date_trunc('month', ${today})) as sent_this_month`,
    ))!
    return { ...numbers, dailyLimit: app.settings.EMAIL_DAILY_LIMIT }
  },
})
