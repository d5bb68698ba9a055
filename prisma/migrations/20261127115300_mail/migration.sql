-- CreateEnum
CREATE TYPE "mail_status" AS ENUM ('PENDING', 'ENDED');

-- CreateEnum
CREATE TYPE "mail_recipient_status" AS ENUM ('PENDING', 'SENT', 'DELIVERED', 'BOUNCED', 'COMPLAINED', 'FAILED');

-- CreateEnum
CREATE TYPE "mail_suppression_reason" AS ENUM ('BOUNCED', 'COMPLAINED');

-- CreateTable
CREATE TABLE "mail" (
    "id" UUID NOT NULL,
    "organization_id" UUID,
    "purpose" TEXT NOT NULL,
    "owner_id" UUID,
    "ref" UUID,
    "sender" TEXT NOT NULL,
    "to_addresses" TEXT[],
    "cc_addresses" TEXT[],
    "reply_to" TEXT[],
    "subject" TEXT NOT NULL,
    "return_path" TEXT,
    "content" BYTEA,
    "size_bytes" INTEGER NOT NULL,
    "status" "mail_status" NOT NULL DEFAULT 'PENDING',
    "attempt_count" INTEGER NOT NULL DEFAULT 0,
    "due_at" TIMESTAMPTZ(3) NOT NULL DEFAULT app_now(),
    "unreached" BOOLEAN NOT NULL DEFAULT false,
    "opened_at" TIMESTAMPTZ(3),
    "clicked_links" TEXT[] DEFAULT ARRAY[]::TEXT[],
    "lease_owner" TEXT,
    "lease_epoch" INTEGER NOT NULL DEFAULT 0,
    "lease_ended" INTEGER NOT NULL DEFAULT 0,
    "lease_expires_at" TIMESTAMPTZ(3),
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT app_now(),
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT app_now(),

    CONSTRAINT "mail_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "mail_recipient" (
    "mail_id" UUID NOT NULL,
    "number" INTEGER NOT NULL,
    "address" TEXT NOT NULL,
    "status" "mail_recipient_status" NOT NULL DEFAULT 'PENDING',
    "code" TEXT,
    "text" TEXT,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT app_now(),
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT app_now(),

    CONSTRAINT "mail_recipient_pkey" PRIMARY KEY ("mail_id","number")
);

-- CreateTable
CREATE TABLE "mail_suppression" (
    "id" UUID NOT NULL,
    "organization_id" UUID NOT NULL,
    "address" TEXT NOT NULL,
    "reason" "mail_suppression_reason" NOT NULL,
    "detail" TEXT,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT app_now(),
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT app_now(),

    CONSTRAINT "mail_suppression_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "outbox_mail" (
    "id" UUID NOT NULL,
    "organization_id" UUID,
    "owner_id" UUID,
    "purpose" TEXT NOT NULL,
    "sender" TEXT NOT NULL,
    "to_addresses" TEXT[],
    "recipients" TEXT[],
    "subject" TEXT NOT NULL,
    "content" BYTEA NOT NULL,
    "size_bytes" INTEGER NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT app_now(),
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT app_now(),

    CONSTRAINT "outbox_mail_pkey" PRIMARY KEY ("id")
);

-- CreateIndex
CREATE INDEX "mail_due_idx" ON "mail"("due_at") WHERE (status = 'PENDING');

-- CreateIndex
CREATE INDEX "mail_unreached_idx" ON "mail"("due_at") WHERE (status = 'PENDING' and unreached);

-- CreateIndex
CREATE INDEX "mail_age_idx" ON "mail"("created_at");

-- CreateIndex
CREATE INDEX "mail_suppression_organization_id_id_idx" ON "mail_suppression"("organization_id", "id");

-- CreateIndex
CREATE UNIQUE INDEX "mail_suppression_organization_id_address_key" ON "mail_suppression"("organization_id", "address");

-- CreateIndex
CREATE INDEX "outbox_mail_organization_id_id_idx" ON "outbox_mail"("organization_id", "id");

-- CreateIndex
CREATE INDEX "outbox_mail_age_idx" ON "outbox_mail"("created_at");

-- AddForeignKey
ALTER TABLE "mail_recipient" ADD CONSTRAINT "mail_recipient_mail_id_fkey" FOREIGN KEY ("mail_id") REFERENCES "mail"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- mail_stamp
CREATE TRIGGER mail_stamp BEFORE UPDATE ON mail FOR EACH ROW EXECUTE FUNCTION stamp_updated_at();

-- mail_recipient_stamp
CREATE TRIGGER mail_recipient_stamp BEFORE UPDATE ON mail_recipient FOR EACH ROW EXECUTE FUNCTION stamp_updated_at();

-- mail_suppression_stamp
CREATE TRIGGER mail_suppression_stamp BEFORE UPDATE ON mail_suppression FOR EACH ROW EXECUTE FUNCTION stamp_updated_at();

-- outbox_mail_stamp
CREATE TRIGGER outbox_mail_stamp BEFORE UPDATE ON outbox_mail FOR EACH ROW EXECUTE FUNCTION stamp_updated_at();
