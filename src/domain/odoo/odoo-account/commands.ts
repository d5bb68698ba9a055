import { z } from 'zod'
import type { OdooAccount } from '../../../generated/prisma/client.ts'
import { defineCommand, demandOrganization, ofOrganization } from '../../../platform/command.ts'
import { assignments, newRow, row, run, sql } from '../../../platform/db/index.ts'
import { errors } from '../../../platform/errors.ts'
import { publish } from '../../../platform/events.ts'
import { newId } from '../../../platform/id.ts'
import { nameSchema } from '../../../platform/name.ts'
import type { Work } from '../../../platform/work.ts'
import { accountEventOf, odooAccountCreated, odooAccountDeleted, odooAccountUpdated } from './events.ts'
import { databaseSchema, loginSchema, secretIdentity, secretSchema, transportSchema, urlSchema } from './model.ts'
import type { OdooAccountRow } from './queries.ts'
import { demandWorking, type PlaceInput, type Trial, tryChanged, tryNew } from './trial.ts'

/** A row without its sealed value, as results contain it. */
const shown = ({ secret, ...account }: OdooAccount): OdooAccountRow => account

const place = { url: urlSchema.nullish(), webServiceId: z.string().nullish() }
const isOnePlace = ({ url, webServiceId }: PlaceInput) => !(url && webServiceId)
const onePlaceText = 'must be omitted if webServiceId is given'
const tested =
  'The account is tested before it is saved: the request fails with `odoo_unreachable`, `odoo_timeout`, `odoo_not_found` or `odoo_access_error`, and the field that is wrong, unless the server answers and accepts the login.'

export const createOdooAccount = defineCommand({
  name: 'createOdooAccount',
  description: `Creates an Odoo account: a connection to a database of an Odoo server. ${tested}`,
  permission: 'manage:odoo',
  ids: { webServiceId: 'WebService' },
  targetType: 'OdooAccount',
  input: z
    .object({
      ...{ name: nameSchema, ...place, database: databaseSchema, login: loginSchema, secret: secretSchema },
      transport: transportSchema.default('JSON_RPC'),
    })
    .refine(isOnePlace, { error: onePlaceText, path: ['url'] })
    .refine(({ url, webServiceId }) => Boolean(url ?? webServiceId), { error: 'is required unless webServiceId is given', path: ['url'] }),
  emits: [odooAccountCreated],
  prepare: tryNew,
  async run(work, { name, database, login, secret, transport }, _target, trial: Trial) {
    const { app, tx, caller } = work
    demandOrganization(caller, 'create Odoo accounts')
    const { place, odooVersion } = demandWorking(trial)
    const [id, { organizationId }] = [newId(), caller]
    const fields = {
      ...{ id, organizationId, name, ...place, database, login, transport, odooVersion, createdBy: caller.subject.name },
      secret: await app.keyring.seal(tx, organizationId, secretIdentity(id), secret),
    }
    const account = (await row<OdooAccount>(tx, sql`insert into odoo_account ${newRow(fields)} returning *`))!
    await publish(work, odooAccountCreated, accountEventOf(account))
    return { odooAccount: shown(account) }
  },
})

/** Locks an account within the caller's scope. */
export const lockOdooAccount = (work: Work, id: string): Promise<OdooAccount | null> =>
  row<OdooAccount>(
    work.tx,
    sql`select t.* from odoo_account t where t.id = ${id}::uuid and ${ofOrganization(work.caller, sql`t`)} for update`,
  )

export const updateOdooAccount = defineCommand({
  name: 'updateOdooAccount',
  description: `Updates an Odoo account. Omitted fields are left unchanged; a change to another server requires the secret. ${tested} Calls that are in progress end with the former settings.`,
  permission: 'manage:odoo',
  ids: { id: 'OdooAccount', webServiceId: 'WebService' },
  targetType: 'OdooAccount',
  target: (work, { id }) => lockOdooAccount(work, id!),
  input: z
    .object({
      id: z.string(),
      name: nameSchema.nullish(),
      ...place,
      database: databaseSchema.nullish(),
      login: loginSchema.nullish(),
      secret: secretSchema.nullish(),
      transport: transportSchema.nullish(),
    })
    .refine(isOnePlace, { error: onePlaceText, path: ['url'] }),
  emits: [odooAccountUpdated],
  prepare: (request, { id, ...input }) => tryChanged(request, id, input),
  async run(work, { name, database, login, secret, transport }, target: OdooAccount, trial: Trial) {
    const { place, odooVersion, version } = demandWorking(trial)
    // What was tested is what is stored.
    if (version !== target.version) throw errors.version_conflict({ details: { currentVersion: target.version } })
    const { app, tx } = work
    const set = assignments({
      ...{ name: name ?? undefined, ...place, database: database ?? undefined, login: login ?? undefined },
      ...{ transport: transport ?? undefined, odooVersion, version: version + 1 },
      secret: secret ? await app.keyring.seal(tx, target.organizationId, secretIdentity(target.id), secret) : undefined,
    })
    const account = (await row<OdooAccount>(tx, sql`update odoo_account set ${set} where id = ${target.id}::uuid returning *`))!
    await publish(work, odooAccountUpdated, accountEventOf(account))
    work.wake('credentials')
    return { odooAccount: shown(account) }
  },
  audited: ({ secret }) => ({ secretChanged: Boolean(secret) }),
})

export const deleteOdooAccount = defineCommand({
  name: 'deleteOdooAccount',
  description:
    'Deletes an Odoo account, and revokes the API keys that are bound to it. Records of its calls remain until they are removed by age.',
  permission: 'delete:odoo',
  ids: { id: 'OdooAccount' },
  targetType: 'OdooAccount',
  target: (work, { id }) => lockOdooAccount(work, id!),
  input: z.object({}),
  emits: [odooAccountDeleted],
  async run(work, _input, target: OdooAccount) {
    // Before the row is gone, so that later concepts find what belongs to it.
    await publish(work, odooAccountDeleted, accountEventOf(target))
    await run(work.tx, sql`delete from odoo_account where id = ${target.id}::uuid`)
    work.wake('credentials')
    return { deletedId: target.id }
  },
})
