-- AlterTable
ALTER TABLE "web_service" ADD COLUMN     "ssh_key_id" UUID;

-- CreateTable
CREATE TABLE "ssh_key" (
    "id" UUID NOT NULL,
    "user_id" UUID NOT NULL,
    "label" TEXT NOT NULL,
    "key_type" TEXT NOT NULL,
    "public_key" TEXT NOT NULL,
    "fingerprint" TEXT NOT NULL,
    "private_key" BYTEA,
    "last_used_at" TIMESTAMPTZ(3),
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT app_now(),
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT app_now(),

    CONSTRAINT "ssh_key_pkey" PRIMARY KEY ("id")
);

-- CreateIndex
CREATE UNIQUE INDEX "ssh_key_user_id_fingerprint_key" ON "ssh_key"("user_id", "fingerprint");

-- CreateIndex
CREATE INDEX "web_service_ssh_key_id_idx" ON "web_service"("ssh_key_id");

-- AddForeignKey
ALTER TABLE "ssh_key" ADD CONSTRAINT "ssh_key_user_id_fkey" FOREIGN KEY ("user_id") REFERENCES "user_account"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "web_service" ADD CONSTRAINT "web_service_ssh_key_id_fkey" FOREIGN KEY ("ssh_key_id") REFERENCES "ssh_key"("id") ON DELETE SET NULL ON UPDATE CASCADE;

-- ssh_key_stamp
CREATE TRIGGER ssh_key_stamp BEFORE UPDATE ON ssh_key FOR EACH ROW EXECUTE FUNCTION stamp_updated_at();
