import { z } from 'zod'
import type { SshKey } from '../../../generated/prisma/client.ts'
import { defineCommand, demandPerson } from '../../../platform/command.ts'
import { newRow, row, run, sql } from '../../../platform/db/index.ts'
import { newId } from '../../../platform/id.ts'
import { nameSchema } from '../../../platform/name.ts'
import type { Work } from '../../../platform/work.ts'
import { type Account, lockAccount } from '../user/index.ts'
import { sshKeyErrors } from './errors.ts'
import { generateKey, maxKeyLength, type PublicKey, readPrivateKey, readPublicKey } from './key-text.ts'
import { keyOwner, maxKeys, privateKeyIdentity, type SshKeyRow, shownKey } from './model.ts'

const keyText = z.string().max(maxKeyLength, { error: `must be at most ${maxKeyLength} characters` })

/** Locks the account, so that additions of one user wait for each other and together respect the limit. */
const target = (work: Work) => lockAccount(work.tx, demandPerson(work.caller))

export const addSshKey = defineCommand({
  name: 'addSshKey',
  description:
    'Adds an SSH key to the account of the caller. With `privateKey`, services can be deployed with the key. Fails with `ssh_key_taken` if the caller has added this key before.',
  permission: null,
  ids: {},
  targetType: 'User',
  creates: 'SshKey',
  target,
  input: z.object({ label: nameSchema, publicKey: keyText, privateKey: keyText.nullish() }),
  emits: [],
  async run(work, { label, publicKey, privateKey }, { id: userId }: Account) {
    const key = await readPublicKey(publicKey)
    const secret = privateKey ? await readPrivateKey(privateKey, key) : null
    return { sshKey: await insertKey(work, userId, { label, ...key, privateKey: secret }) }
  },
})

export const generateSshKey = defineCommand({
  name: 'generateSshKey',
  description:
    'Generates an Ed25519 key and adds it to the account of the caller. Add its `publicKey` to a repository as a deploy key, then set `sshKeyId` of a web service. The private key never leaves Quayside.',
  permission: null,
  ids: {},
  targetType: 'User',
  creates: 'SshKey',
  target,
  input: z.object({ label: nameSchema }),
  emits: [],
  async run(work, { label }, { id: userId }: Account) {
    return { sshKey: await insertKey(work, userId, { label, ...(await generateKey()) }) }
  },
})

export const deleteSshKey = defineCommand({
  name: 'deleteSshKey',
  description:
    'Deletes an SSH key of the caller. Services that use it have no key from then on, and cannot be deployed from a private repository until they are given another one.',
  permission: null,
  ids: { id: 'SshKey' },
  targetType: 'SshKey',
  target: async (work, { id }) => {
    const userId = demandPerson(work.caller)
    const key = await row<SshKey>(work.tx, sql`select * from ssh_key where id = ${id}::uuid and user_id = ${userId}::uuid for update`)
    return key && shownKey(key)
  },
  input: z.object({}),
  emits: [],
  async run(work, _input, target: SshKeyRow) {
    await run(work.tx, sql`delete from ssh_key where id = ${target.id}::uuid`)
    return { deletedId: target.id }
  },
})

async function insertKey(
  { app, tx }: Work,
  userId: string,
  { privateKey, ...key }: PublicKey & { label: string; privateKey: string | null },
): Promise<SshKeyRow> {
  const { count } = (await row<{ count: number }>(tx, sql`select count(*)::int as count from ssh_key where user_id = ${userId}::uuid`))!
  if (count >= maxKeys) throw sshKeyErrors.too_many_ssh_keys({ details: { limit: maxKeys } })
  const id = newId()
  const sealed = privateKey && (await app.keyring.seal(tx, keyOwner, privateKeyIdentity(id), privateKey))
  const added = await row<SshKey>(
    tx,
    sql`insert into ssh_key ${newRow({ id, userId, ...key, privateKey: sealed })} on conflict (user_id, fingerprint) do nothing returning *`,
  )
  if (!added) throw sshKeyErrors.ssh_key_taken({ field: 'publicKey' })
  return shownKey(added)
}
