# What powershell.exe is started with. Standard input has lines of base64: a script of the package,
# what is asked of it (JSON), and data. Answers with one line: base64 of JSON.
$ErrorActionPreference = 'Stop'
$ProgressPreference = 'SilentlyContinue'
$WarningPreference = 'SilentlyContinue'
$lines = @($input)
$utf8 = New-Object System.Text.UTF8Encoding $false
try {
    $code = $utf8.GetString([Convert]::FromBase64String($lines[0]))
    $asked = $utf8.GetString([Convert]::FromBase64String($lines[1])) | ConvertFrom-Json
    $data = @($lines | Select-Object -Skip 2)
    $answer = & ([ScriptBlock]::Create($code)) $asked $data
    $word = 'answer'
} catch {
    $answer = @{ message = $_.Exception.Message; at = $_.InvocationInfo.PositionMessage }
    $word = 'failed'
}
$json = ConvertTo-Json -InputObject $answer -Depth 6 -Compress
'kernellab ' + $word + ' ' + [Convert]::ToBase64String($utf8.GetBytes($json))
