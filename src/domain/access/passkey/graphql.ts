import { builder, columnsOf, idField, loadRows, mutation, Node, payloadOf, versionFields } from '../../../graphql/builder/index.ts'
import { demandSelf } from '../../../platform/command.ts'
import { encodeId } from '../../../platform/id.ts'
import { User } from '../user/graphql.ts'
import { beginPasskeyRegistration, deletePasskey, finishPasskeyRegistration } from './commands.ts'
import { passkeysByUser } from './queries.ts'

export const Passkey = builder.prismaObject('Passkey', {
  description: 'Passkey with which a user can sign in.',
  interfaces: [Node],
  select: { id: true },
  fields: (t) => ({
    id: t.id(idField('Passkey')),
    name: t.exposeString('name', { description: 'Name of the passkey.' }),
    transports: t.exposeStringList('transports', {
      description: 'How a browser can reach the authenticator, such as `internal` or `usb`.',
    }),
    backedUp: t.exposeBoolean('backedUp', {
      description: 'Whether the authenticator keeps a copy of the passkey elsewhere, such as on other devices.',
    }),
    lastUsedAt: t.expose('lastUsedAt', {
      type: 'DateTime',
      nullable: true,
      description: 'Time of the last login with the passkey. Null if there was none.',
    }),
    ...versionFields(t),
  }),
})

builder.prismaObjectField(User, 'passkeys', (t) =>
  t.field({
    type: [Passkey],
    extensions: { rows: 5 },
    description: 'Passkeys of the user, oldest first. Fails with `forbidden` unless the user is the caller.',
    resolve: (user, _args, context, info) => {
      demandSelf(context.caller, user.id)
      return loadRows(context, 'User.passkeys', user.id, columnsOf(info, 'Passkey'), passkeysByUser)
    },
  }),
)

mutation(beginPasskeyRegistration, {
  input: () => ({}),
  payload: (t) => ({
    options: t.field({
      type: 'JSON',
      nullable: true,
      description:
        'Options for `navigator.credentials.create`, as JSON of WebAuthn (`PublicKeyCredentialCreationOptionsJSON`). Returned only once. Null when a request is repeated with the same idempotency key.',
      resolve: ({ options }) => options,
    }),
  }),
})

mutation(finishPasskeyRegistration, {
  input: (t) => ({
    name: t.string({ required: true, description: 'Name of the passkey, from 1 to 100 characters.' }),
    response: t.field({
      type: 'JSON',
      required: true,
      description: 'What the browser returned, as JSON of WebAuthn (`RegistrationResponseJSON`).',
    }),
  }),
  payload: payloadOf('passkey', Passkey, 'The registered passkey.'),
})

mutation(deletePasskey, {
  versioned: true,
  input: (t) => ({ id: t.id({ required: true, description: 'ID of the passkey.' }) }),
  payload: (t) => ({
    deletedId: t.id({ description: 'ID of the deleted passkey.', resolve: (result) => encodeId('Passkey', result.deletedId) }),
  }),
})
