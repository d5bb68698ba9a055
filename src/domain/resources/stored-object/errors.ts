/** Why an operation on objects is refused. The codes are those of the S3 API, which alone reports them. */
export type ObjectErrorCode =
  | 'BadDigest'
  | 'EntityTooLarge'
  | 'EntityTooSmall'
  | 'IncompleteBody'
  | 'InvalidArgument'
  | 'InvalidPart'
  | 'InvalidPartOrder'
  | 'InvalidRange'
  | 'InvalidRequest'
  | 'KeyTooLongError'
  | 'NoSuchKey'
  | 'NoSuchUpload'
  | 'NotModified'
  | 'PreconditionFailed'
  | 'XAmzContentSHA256Mismatch'

export class ObjectError extends Error {
  override readonly name = 'ObjectError'
  readonly code: ObjectErrorCode
  constructor(code: ObjectErrorCode, message: string) {
    super(message)
    this.code = code
  }
}

export const noSuchKey = () => new ObjectError('NoSuchKey', 'The specified key does not exist.')
export const noSuchUpload = () =>
  new ObjectError('NoSuchUpload', 'The specified upload does not exist. It may have been completed, aborted or expired.')
