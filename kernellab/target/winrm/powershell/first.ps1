#Requires -RunAsAdministrator
# Run this once on the machine itself, in PowerShell as an administrator. It switches WinRM on over
# HTTPS with a certificate of its own, and prints the certificate, which goes to your computer.
# Settings of the kernel are not its work: that is `kernellab target prepare`.
$ErrorActionPreference = 'Stop'
$ProgressPreference = 'SilentlyContinue'

# A public network would keep WinRM from being reached.
Get-NetConnectionProfile | Where-Object NetworkCategory -EQ 'Public' | Set-NetConnectionProfile -NetworkCategory Private
Enable-PSRemoting -Force -SkipNetworkProfileCheck | Out-Null

# Every address and name that this machine is reached by.
$addresses = @(Get-NetIPAddress -AddressFamily IPv4 | Where-Object IPAddress -NE '127.0.0.1' | ForEach-Object { 'IPAddress=' + $_.IPAddress })
$names = @('DNS=' + $env:COMPUTERNAME, 'DNS=localhost', 'IPAddress=127.0.0.1')
$extension = '2.5.29.17={text}' + (($addresses + $names) -join '&')
$certificate = New-SelfSignedCertificate -Subject ('CN=' + $env:COMPUTERNAME) -CertStoreLocation Cert:\LocalMachine\My -TextExtension $extension -NotAfter (Get-Date).AddYears(5)

Get-ChildItem -Path WSMan:\localhost\Listener | Where-Object { $_.Keys -contains 'Transport=HTTPS' } | Remove-Item -Recurse -Force
New-Item -Path WSMan:\localhost\Listener -Transport HTTPS -Address * -CertificateThumbPrint $certificate.Thumbprint -Force | Out-Null
if (-not (Get-NetFirewallRule -Name 'kernellab-winrm-https' -ErrorAction SilentlyContinue)) {
    New-NetFirewallRule -Name 'kernellab-winrm-https' -DisplayName 'WinRM over HTTPS (kernellab)' -Direction Inbound -Protocol TCP -LocalPort 5986 -Action Allow | Out-Null
}

# A local administrator's rights are cut over the network unless this says otherwise.
$policies = 'HKLM:\SOFTWARE\Microsoft\Windows\CurrentVersion\Policies\System'
New-ItemProperty -Force -LiteralPath $policies -Name LocalAccountTokenFilterPolicy -PropertyType DWord -Value 1 | Out-Null

$text = [Convert]::ToBase64String($certificate.RawData, 'InsertLineBreaks')
'-----BEGIN CERTIFICATE-----'
$text
'-----END CERTIFICATE-----'
