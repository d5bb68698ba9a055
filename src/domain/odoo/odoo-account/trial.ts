/** The test of an account when it is saved: the version of the server, then the login. It runs before the transaction. */
import type { OdooAccount, WebService } from '../../../generated/prisma/client.ts'
import { ofOrganization, type Request, visible } from '../../../platform/command.ts'
import { row, sql } from '../../../platform/db/index.ts'
import { errors, type PortError } from '../../../platform/errors.ts'
import { connectionOf, localUrlOf } from './connection.ts'
import { isOdooFailure, odooErrorOf, wrongField } from './failure.ts'
import { type OdooConnection, type OdooFailureCode, type OdooTransport, odooPort } from './ports.ts'

/** What was tested, and how it ended. `place` and `version` are what the row must have when it is written. */
export type Trial =
  | { outcome: 'works'; place: Place; odooVersion: string | null; version: number }
  | { outcome: 'fails'; failure: PortError<OdooFailureCode>; field: string | undefined }
  /** The stored secret would be sent to another server than it was given for. Nothing was sent. */
  | { outcome: 'needs_secret' }
  /** There is no such account or service for the caller. */
  | { outcome: 'missing'; field: string }

export type Place = Pick<OdooAccount, 'url' | 'isLocal' | 'webServiceId'>

export type Settings = { database: string; login: string; secret: string; transport: OdooTransport }

/** Of an update. What is not given stays. */
export type Changes = { [Name in keyof Settings]?: Settings[Name] | null | undefined }

/** Where an account is, as its input says. `url` and `webServiceId` exclude each other; neither is given by an update that keeps the place. */
export type PlaceInput = { url?: string | null | undefined; webServiceId?: string | null | undefined }

/** Within the time that a request has. */
const timeoutMs = 8_000
const maxAnswerBytes = 100_000

export async function tryNew(request: Request, input: PlaceInput & Settings): Promise<Trial> {
  // Refused later, in the right order.
  if (request.caller.projectIds !== null) return { outcome: 'missing', field: 'webServiceId' }
  const place = await placeOf(request, input)
  return place ? tryConnection(request, { ...input, ...place, key: null }, place, 0) : { outcome: 'missing', field: 'webServiceId' }
}

/** Tests an account with the changes of an update. */
export async function tryChanged(request: Request, id: string, input: PlaceInput & Changes): Promise<Trial> {
  const { app, caller } = request
  const account = await row<OdooAccount>(
    app.db,
    sql`select t.* from odoo_account t where t.id = ${id}::uuid and ${ofOrganization(caller, sql`t`)}`,
  )
  if (!account) return { outcome: 'missing', field: 'id' }
  const keepsPlace = !input.url && !input.webServiceId
  const stored = await connectionOf(app, app.db, account)
  const { isLocal, webServiceId } = account
  const place = keepsPlace ? { url: stored.url ?? account.url, isLocal, webServiceId } : await placeOf(request, input)
  if (!place) return { outcome: 'missing', field: 'webServiceId' }
  if (!input.secret && !keepsPlace && originOf(place) !== originOf(account)) return { outcome: 'needs_secret' }
  const connection = {
    ...{ key: null, url: keepsPlace ? stored.url : place.url, isLocal: place.isLocal },
    database: input.database ?? stored.database,
    login: input.login ?? stored.login,
    secret: input.secret ?? stored.secret,
    transport: input.transport ?? stored.transport,
  }
  return tryConnection(request, connection, place, account.version)
}

/** Whoever may change an account may not therefore see its secret. A service that is deleted equals no other place. */
const originOf = ({ url, isLocal, webServiceId }: Place): string | null => (isLocal ? webServiceId : new URL(url).origin)

async function placeOf({ app, caller }: Request, { url, webServiceId }: PlaceInput): Promise<Place | null> {
  if (!webServiceId) return { url: url!, isLocal: false, webServiceId: null }
  const service = await row<WebService>(
    app.db,
    sql`select s.* from web_service s where s.id = ${webServiceId}::uuid and ${visible(caller, sql`s`)} and s.desired_state <> 'DELETED'`,
  )
  return service && { url: localUrlOf(app, service), isLocal: true, webServiceId: service.id }
}

async function tryConnection({ app }: Request, connection: OdooConnection, place: Place, version: number): Promise<Trial> {
  const odoo = odooPort.use(app)
  const limits = { timeoutMs: timeoutMs / 2, maxAnswerBytes }
  try {
    const odooVersion = await odoo.version(connection, limits)
    await odoo.logIn(connection, limits)
    return { outcome: 'works', place, odooVersion, version }
  } catch (failure) {
    if (!isOdooFailure(failure)) throw failure
    const field = wrongField[failure.code]
    return { outcome: 'fails', failure, field: field === 'url' && connection.isLocal ? 'webServiceId' : field }
  }
}

/** Throws what the test found to be wrong. */
export function demandWorking(trial: Trial): Extract<Trial, { outcome: 'works' }> {
  if (trial.outcome === 'missing') throw errors.not_found({ field: trial.field })
  if (trial.outcome === 'needs_secret') {
    const text = 'secret: is required to change the server, because the stored one is for the present server only'
    throw errors.invalid_input({ field: 'secret', text })
  }
  if (trial.outcome === 'fails') throw odooErrorOf(trial.failure, trial)
  return trial
}
