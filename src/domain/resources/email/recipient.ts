/** Sandbox recipients: addresses whose owners have confirmed by a code that a service in the sandbox may send to them. */
import { timingSafeEqual } from 'node:crypto'
import { z } from 'zod'
import type { EmailService, SandboxRecipient } from '../../../generated/prisma/client.ts'
import { defineCommand, ofOrganization } from '../../../platform/command.ts'
import { newRow, row, run, sql } from '../../../platform/db/index.ts'
import { errors } from '../../../platform/errors.ts'
import { publish } from '../../../platform/events.ts'
import { newId } from '../../../platform/id.ts'
import type { Work } from '../../../platform/work.ts'
import { addressSchema, codePurpose, queuePlatformMail } from '../../access/mail/index.ts'
import { emailErrors } from './errors.ts'
import { recipientEventOf, sandboxRecipientEvents } from './events.ts'
import { codeTries, codeTtlMs, lockEmailService, maxCodes, maxRecipients, newCode } from './model.ts'

/** A row without its code, as results contain it. */
export type SandboxRecipientRow = Omit<SandboxRecipient, 'codeMac'>
const shown = ({ codeMac, ...recipient }: SandboxRecipient): SandboxRecipientRow => recipient

const codeSchema = z.string().regex(/^\d{6}$/, { error: 'must be 6 digits' })

const inMs = (ms: number) => sql`app_now() + ${ms} * interval '1 millisecond'`
const macOf = (work: Work, id: string, code: string) =>
  work.app.keyring.fingerprint(work.tx, work.caller.organizationId, `sandbox_recipient:${id}:${code}`)

export const addSandboxRecipient = defineCommand({
  name: 'addSandboxRecipient',
  description: `Adds a recipient that an email service in the sandbox may send to, and sends a code of 6 digits to the address. The code is valid for 24 hours and ${codeTries} tries. Adding an unverified recipient again sends a new code, at most ${maxCodes} a day to one address; more fail with \`rate_limited\`. With \`code\`, the recipient is verified instead, as \`verifySandboxRecipient\` does. A verified recipient is returned unchanged. A service can have at most ${maxRecipients} sandbox recipients.`,
  permission: 'manage:email',
  ids: { emailServiceId: 'EmailService' },
  targetType: 'EmailService',
  creates: 'SandboxRecipient',
  target: (work, { emailServiceId }) => lockEmailService(work, emailServiceId!),
  input: z.object({ email: addressSchema, code: codeSchema.nullish() }),
  emits: [sandboxRecipientEvents.created, sandboxRecipientEvents.verified],
  async run(work, { email, code: given }, service: EmailService) {
    const known = await row<SandboxRecipient>(
      work.tx,
      sql`select * from sandbox_recipient where email_service_id = ${service.id}::uuid and email = ${email}`,
    )
    if (given) {
      if (!known) throw errors.not_found({ field: 'email', text: 'email: is not a sandbox recipient of this email service' })
      return { sandboxRecipient: await verify(work, known, given) }
    }
    if (known?.verifiedAt) return { sandboxRecipient: shown(known) }
    await countCode(work, email)
    const id = known?.id ?? newId()
    const code = newCode()
    const codeMac = await macOf(work, id, code)
    const recipient = known ? await renewCode(work, known, codeMac) : await insertRecipient(work, service, { id, email, codeMac })
    await sendCode(work, service, recipient, code)
    return { sandboxRecipient: shown(recipient) }
  },
})

async function insertRecipient(
  work: Work,
  { id: emailServiceId, organizationId }: EmailService,
  added: { id: string; email: string; codeMac: string },
) {
  const { n } = (await row<{ n: number }>(
    work.tx,
    sql`select count(*)::int as n from sandbox_recipient where email_service_id = ${emailServiceId}::uuid`,
  ))!
  if (n >= maxRecipients) {
    throw emailErrors.email_limit({ text: `An email service can have at most ${maxRecipients} sandbox recipients. Delete one first.` })
  }
  const fields = { ...added, organizationId, emailServiceId, triesLeft: codeTries, expiresAt: inMs(codeTtlMs) }
  const recipient = (await row<SandboxRecipient>(work.tx, sql`insert into sandbox_recipient ${newRow(fields)} returning *`))!
  await publish(work, sandboxRecipientEvents.created, recipientEventOf(recipient))
  return recipient
}

const renewCode = async (work: Work, { id }: SandboxRecipient, codeMac: string): Promise<SandboxRecipient> =>
  (await row<SandboxRecipient>(
    work.tx,
    sql`update sandbox_recipient set code_mac = ${codeMac}, tries_left = ${codeTries}, expires_at = ${inMs(codeTtlMs)}, version = version + 1
        where id = ${id}::uuid returning *`,
  ))!

/** Counts a code. Limited for each address, because a code is mail to somebody who may not want it, and each one allows more tries. */
async function countCode(work: Work, email: string): Promise<void> {
  const isOver = sql`c.since <= app_now() - interval '24 hours'`
  const { sent, waitS } = (await row<{ sent: number; waitS: number }>(
    work.tx,
    sql`insert into sandbox_code_count as c (organization_id, email, sent, since)
        values (${work.caller.organizationId}::uuid, ${email}, 1, app_now())
        on conflict (organization_id, email) do update set sent = case when ${isOver} then 1 else c.sent + 1 end,
          since = case when ${isOver} then app_now() else c.since end
        returning sent, ceil(extract(epoch from since + interval '24 hours' - app_now()))::int as wait_s`,
  ))!
  if (sent <= maxCodes) return
  throw errors.rate_limited({
    text: `At most ${maxCodes} codes a day can be sent to one address. Retry later.`,
    details: { limit: maxCodes, retryAfterSeconds: Math.max(1, waitS) },
  })
}

const sendCode = (work: Work, service: EmailService, { id, organizationId, email }: SandboxRecipient, code: string) =>
  queuePlatformMail(work, {
    ...{ organizationId, purpose: codePurpose, ownerId: service.id, ref: id, to: [email] },
    subject: 'Your confirmation code',
    body: {
      paragraphs: [
        `The email service "${service.name}" would like to send test mail to this address. To allow that, give this code to the person who asked you for it.`,
        'The code is valid for 24 hours. If you did not expect this mail, ignore it.',
      ],
      code,
    },
  })

const findRecipient = (work: Work, { id }: Record<string, string>): Promise<SandboxRecipient | null> =>
  row<SandboxRecipient>(
    work.tx,
    sql`select t.* from sandbox_recipient t where t.id = ${id}::uuid and ${ofOrganization(work.caller, sql`t`)}`,
  )

export const verifySandboxRecipient = defineCommand({
  name: 'verifySandboxRecipient',
  description: `Verifies a sandbox recipient by the code that was sent to its address. Fails with \`verification_failed\` if the code is wrong or has expired, and after ${codeTries} wrong tries. A verified recipient is returned unchanged.`,
  permission: 'manage:email',
  ids: { id: 'SandboxRecipient' },
  targetType: 'SandboxRecipient',
  target: findRecipient,
  input: z.object({ code: codeSchema }),
  emits: [sandboxRecipientEvents.verified],
  run: async (work, { code }, target: SandboxRecipient) => ({ sandboxRecipient: await verify(work, target, code) }),
})

/** Verifies by a code. Throws `verification_failed`. */
async function verify(work: Work, recipient: SandboxRecipient, code: string): Promise<SandboxRecipientRow> {
  if (recipient.verifiedAt) return shown(recipient)
  // Outside of the transaction, so that the try is counted even though the failure rolls it back.
  const tried = await row<Pick<SandboxRecipient, 'codeMac' | 'triesLeft'>>(
    work.app.db,
    sql`update sandbox_recipient set tries_left = tries_left - 1
        where id = ${recipient.id}::uuid and tries_left > 0 and expires_at > app_now() returning code_mac, tries_left`,
  )
  const expected = Buffer.from(tried?.codeMac ?? '', 'hex')
  const given = Buffer.from(await macOf(work, recipient.id, code), 'hex')
  if (expected.length !== given.length || !timingSafeEqual(expected, given)) {
    throw emailErrors.verification_failed({
      field: 'code',
      text: tried?.triesLeft
        ? `code: is wrong. Tries left: ${tried.triesLeft}.`
        : 'code: is wrong, has expired or was tried too often. Add the recipient again to send a new code.',
    })
  }
  const verified = (await row<SandboxRecipient>(
    work.tx,
    sql`update sandbox_recipient set verified_at = app_now(), code_mac = null, expires_at = null, version = version + 1
        where id = ${recipient.id}::uuid returning *`,
  ))!
  await publish(work, sandboxRecipientEvents.verified, recipientEventOf(verified))
  return shown(verified)
}

export const deleteSandboxRecipient = defineCommand({
  name: 'deleteSandboxRecipient',
  description: 'Deletes a sandbox recipient. A service in the sandbox can no longer send to the address.',
  permission: 'delete:email',
  ids: { id: 'SandboxRecipient' },
  targetType: 'SandboxRecipient',
  target: findRecipient,
  input: z.object({}),
  emits: [sandboxRecipientEvents.deleted],
  async run(work, _input, target: SandboxRecipient) {
    await run(work.tx, sql`delete from sandbox_recipient where id = ${target.id}::uuid`)
    await publish(work, sandboxRecipientEvents.deleted, recipientEventOf(target))
    return { deletedId: target.id }
  },
})
